package pdf

import (
	"fmt"
	"math"
	"unicode"

	"github.com/klippa-app/go-pdfium"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
)

// Document is what a PDF says.
type Document struct {
	Lines []Line
	Files []File // embedded ones
}

// File is a file embedded in a PDF.
type File struct {
	Name    string
	Content []byte
}

// Bounds on one document. What lies beyond is left out. An invoice tells its
// total on the first pages or the last.
const (
	maxFirstPages = 10
	maxLastPages  = 2
	maxGlyphs     = 20_000
	maxFiles      = 10
	maxFile       = 4 << 20 // bytes
)

// readDocument reads content in a sandbox. Errors of the sandbox are the
// document's: it is what made them.
func readDocument(sandbox pdfium.Pdfium, content []byte) (doc Document, err error) {
	defer func() {
		if r := recover(); r != nil { // the sandbox is gone, or its memory is not what the library expects
			doc, err = Document{}, fmt.Errorf("%w: the reader panicked", ErrUnreadable)
		}
	}()
	opened, err := sandbox.OpenDocument(&requests.OpenDocument{File: &content})
	if err != nil {
		return Document{}, fmt.Errorf("%w: open: %w", ErrUnreadable, err)
	}
	count, err := sandbox.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: opened.Document})
	if err != nil {
		return Document{}, fmt.Errorf("%w: count pages: %w", ErrUnreadable, err)
	}
	doc.Files = readFiles(sandbox, opened.Document)
	left := maxGlyphs
	for i := range count.PageCount {
		if i >= maxFirstPages && i < count.PageCount-maxLastPages {
			continue
		}
		glyphs, err := readPage(sandbox, opened.Document, i, &left)
		if err != nil {
			if len(doc.Lines) > 0 || len(doc.Files) > 0 {
				continue // a damaged page loses no other
			}
			return Document{}, fmt.Errorf("%w: page %d: %w", ErrUnreadable, i, err)
		}
		doc.Lines = append(doc.Lines, layPage(glyphs)...)
	}
	return doc, nil
}

// readPage reads the letters of a page with their places, left of them at most.
func readPage(sandbox pdfium.Pdfium, doc references.FPDF_DOCUMENT, page int, left *int) ([]glyph, error) {
	at := requests.Page{ByIndex: &requests.PageByIndex{Document: doc, Index: page}}
	text, err := sandbox.FPDFText_LoadPage(&requests.FPDFText_LoadPage{Page: at})
	if err != nil {
		return nil, err
	}
	count, err := sandbox.FPDFText_CountChars(&requests.FPDFText_CountChars{TextPage: text.TextPage})
	if err != nil {
		return nil, err
	}
	var glyphs []glyph
	word := 0
	for i := 0; i < count.Count && *left > 0; i++ {
		*left--
		char, err := sandbox.FPDFText_GetUnicode(&requests.FPDFText_GetUnicode{TextPage: text.TextPage, Index: i})
		if err != nil {
			return nil, err
		}
		if char.Unicode <= ' ' || char.Unicode > 0x10FFFF || unicode.IsSpace(rune(char.Unicode)) {
			word++
			continue
		}
		angle, err := sandbox.FPDFText_GetCharAngle(&requests.FPDFText_GetCharAngle{TextPage: text.TextPage, Index: i})
		if err == nil && math.Abs(math.Sin(float64(angle.CharAngle))) > 0.5 {
			continue // what stands upright in a margin is no line
		}
		box, err := sandbox.FPDFText_GetLooseCharBox(&requests.FPDFText_GetLooseCharBox{TextPage: text.TextPage, Index: i})
		if err != nil {
			continue // a letter without a place
		}
		glyphs = append(glyphs, glyph{rune(char.Unicode), word, box.Rect.Left, box.Rect.Right, box.Rect.Bottom, box.Rect.Top})
	}
	if _, err := sandbox.FPDFText_ClosePage(&requests.FPDFText_ClosePage{TextPage: text.TextPage}); err != nil {
		return nil, err
	}
	return glyphs, nil
}

// readFiles reads the embedded files; one that cannot be read is left out.
func readFiles(sandbox pdfium.Pdfium, doc references.FPDF_DOCUMENT) []File {
	count, err := sandbox.FPDFDoc_GetAttachmentCount(&requests.FPDFDoc_GetAttachmentCount{Document: doc})
	if err != nil {
		return nil
	}
	var files []File
	for i := range min(count.AttachmentCount, maxFiles) {
		entry, err := sandbox.FPDFDoc_GetAttachment(&requests.FPDFDoc_GetAttachment{Document: doc, Index: i})
		if err != nil {
			continue
		}
		name, err := sandbox.FPDFAttachment_GetName(&requests.FPDFAttachment_GetName{Attachment: entry.Attachment})
		if err != nil {
			continue
		}
		file, err := sandbox.FPDFAttachment_GetFile(&requests.FPDFAttachment_GetFile{Attachment: entry.Attachment})
		if err != nil || len(file.Contents) > maxFile {
			continue
		}
		files = append(files, File{Name: name.Name, Content: file.Contents})
	}
	return files
}
