package page

import (
	"strings"
	"testing"
)

func TestHTML(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, html, want string }{
		{"row", `<table><tr><td>Total</td><td>$5</td></tr></table>`, "Total | $5"},
		{"cells that hold tables", `<table><tr><td><table><tr><td>Total</td></tr></table></td><td><table><tr><td>$5</td></tr></table></td></tr></table>`, "Total | $5"},
		{"columns of lines", `<table><tr><td>Net<br>Total</td><td>$4.00<br>$5.00</td></tr></table>`, "Net | $4.00\nTotal | $5.00"},
		{"layout columns stay apart", `<table><tr><td>a<br>b</td><td>c</td></tr></table>`, "a\nb\nc"},
		{"inline elements join", `<p>You <b>paid</b> <span>$5</span></p>`, "You paid $5"},
		{"blocks part", `<div>Total</div><div>$5</div>`, "Total\n$5"},
		{"raised cents", `<p>$44<sup>95</sup></p>`, "$44.95"},
		{"a raised note is no cents", `<p>$44<sup>1</sup></p>`, "$44 1"},
		{"pre", "<pre>a\nb</pre>", "a\nb"},
		{"head and style", `<head><title>t</title><style>a{}</style></head><body>x<style>b{}</style><script>c</script></body>`, "x"},
		{"display none", `<div style="display:none">$9</div>x`, "x"},
		{"important, odd case", `<div style="DISPLAY : none !important">$9</div>x`, "x"},
		{"visibility", `<div style="visibility:hidden">$9<b style="visibility:visible">y</b></div>x`, "y\nx"},
		{"size zero, and inside it a size", `<div style="font-size:0px">a<div style="font-size:16px">b</div></div>`, "b"},
		{"max-height", `<div style="max-height:0;overflow:hidden">$9</div>x`, "x"},
		{"opacity", `<div style="opacity:0.0">$9</div>x`, "x"},
		{"not zero", `<div style="opacity:0.9;font-size:10px">y</div>x`, "y\nx"},
		{"hidden attribute", `<div hidden>$9</div>x`, "x"},
		{"hidden cell", `<table><tr><td>a</td><td style="display:none">$9</td><td>b</td></tr></table>`, "a | b"},
		{"preheader", `<span class="Preheader">$9</span>x`, "x"},
		{"marks and spaces", "<p>\u200fTotal\u00a0\u202a5\u202c</p>", "Total 5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lines, _ := HTML(tt.html)
			var got []string
			for _, l := range lines {
				got = append(got, strings.Join(l.Cells, " | "))
			}
			if s := strings.Join(got, "\n"); s != tt.want {
				t.Errorf("laid out as %q, want %q", s, tt.want)
			}
		})
	}
}

func TestTurnVisual(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"visual", `ח"ש 1,003.00 םולשתל כ"הס`, `סה"כ לתשלום 1,003.00 ש"ח`},
		{"brackets", `(18%) מ"עמ`, `מע"מ (18%)`},
		{"logical stays", `סה"כ לתשלום 12.00`, `סה"כ לתשלום 12.00`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lines := []Line{{Cells: []string{tt.in}}}
			TurnVisual(lines)
			if got := lines[0].Cells[0]; got != tt.want {
				t.Errorf("turned into %q, want %q", got, tt.want)
			}
		})
	}
}
