package mailgen

import (
	"bytes"
	"fmt"
	"strings"
)

// pdf is a page of text, one line below the other, as the smallest file that
// PDF 1.4 allows. The text must be Latin; padding makes the file longer by a
// comment of so many bytes.
func pdf(lines []string, padding int) []byte {
	var page strings.Builder
	page.WriteString("BT /F1 11 Tf 14 TL 56 780 Td\n")
	escape := strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`, "€", "EUR ", "£", "GBP ", "₪", "ILS ")
	for _, text := range lines {
		fmt.Fprintf(&page, "(%s) Tj T*\n", escape.Replace(text))
	}
	page.WriteString("ET")

	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", page.Len(), page.String()),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
	}
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	if padding > 0 {
		b.WriteString("%" + strings.Repeat("0123456789abcdef", padding/16) + "\n")
	}
	offsets := make([]int, len(objects))
	for i, object := range objects {
		offsets[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, offset := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, start)
	return b.Bytes()
}
