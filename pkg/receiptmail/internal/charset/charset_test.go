package charset

import (
	"testing"

	"golang.org/x/text/encoding/charmap"
)

func TestHeader(t *testing.T) {
	t.Parallel()
	hebrew, err := charmap.Windows1255.NewEncoder().String("קבלה ₪")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, in, want string }{
		{"plain", "Your receipt", "Your receipt"},
		{"base64", "=?UTF-8?B?16fXkdec15Q=?= 12", "קבלה 12"},
		{"a letter split between two words", "=?UTF-8?B?16fX?=\r\n =?UTF-8?B?kdec15Q=?=", "קבלה"},
		{"quoted", "=?utf-8?Q?=E2=82=AC12=2E40_paid?=", "€12.40 paid"},
		{"hebrew read as windows-1255", "=?iso-8859-8-i?B?9+Hs5CCk?=", "קבלה ₪"},
		{"raw windows-1255", hebrew, "קבלה ₪"},
		{"language tag", "=?utf-8*he?B?16fXkdec15Q=?=", "קבלה"},
		{"between two words of other charsets", "=?utf-8?Q?a?= =?iso-8859-1?Q?=E9?=", "aé"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Header(tt.in); got != tt.want {
				t.Errorf("decoded %q, want %q", got, tt.want)
			}
		})
	}
}
