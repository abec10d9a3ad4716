package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/jhillyerd/enmime/v2"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// expectation is one row of expected.tsv. An empty value was not noted.
type expectation struct {
	File     string `json:"file"`
	Type     string `json:"type"`
	Total    string `json:"total"` // several are joined by ";"
	Currency string `json:"currency"`
	Tax      string `json:"tax"`
	Date     string `json:"date"`
	Number   string `json:"number"`
	Vendor   string `json:"vendor"`
}

const maxFile = 50 << 20 // bytes: the largest mail that Gmail takes in

func readExpected(dir string) ([]expectation, error) {
	path := filepath.Join(dir, "expected.tsv")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read expectations: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	var column map[string]int
	var rows []expectation
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		values := strings.Split(strings.TrimRight(lines.Text(), "\r"), "\t")
		if column == nil {
			column = map[string]int{}
			for i, name := range values {
				column[name] = i
			}
			for _, name := range []string{"file", "type", "total", "currency"} {
				if _, ok := column[name]; !ok {
					return nil, fmt.Errorf("read expectations %s: no column %q", path, name)
				}
			}
			continue
		}
		value := func(name string) string {
			if i, ok := column[name]; ok && i < len(values) {
				return strings.TrimSpace(values[i])
			}
			return ""
		}
		rows = append(rows, expectation{value("file"), value("type"), value("total"), value("currency"), value("tax"), value("date"), value("number"), value("vendor")})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read expectations %s: %w", path, err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("read expectations %s: no rows", path)
	}
	return rows, nil
}

// readMail reads one file of the corpus as a mail: .eml as it is, the others
// wrapped. received is what the mail's own Date says, zero where it says none.
func readMail(dir, name string) (raw []byte, received time.Time, err error) {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read %s: %w", name, err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read %s: %w", name, err)
	}
	switch strings.ToLower(filepath.Ext(name)) {
	case ".eml":
		if m, err := mail.ReadMessage(bytes.NewReader(content)); err == nil {
			received, _ = m.Header.Date()
		}
		return content, received, nil
	case ".html", ".htm":
		return wrap(htmlTitle(content), "text/html", "", content), received, nil
	case ".txt":
		return wrap("", "text/plain", "", content), received, nil
	case ".pdf":
		return wrap("", "application/pdf", filepath.Base(name), content), received, nil
	}
	return nil, time.Time{}, fmt.Errorf("read %s: not .eml, .html, .pdf or .txt", name)
}

// wrap makes a mail of one file. It names no sender, as none is known; what has
// a file name is attached, the rest is the body.
func wrap(subject, mediaType, fileName string, content []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: corpus@corpus.invalid\r\nSubject: %s\r\nMIME-Version: 1.0\r\n", mime.QEncoding.Encode("utf-8", subject))
	fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Transfer-Encoding: base64\r\n", mediaType)
	if fileName != "" {
		fmt.Fprintf(&b, "Content-Disposition: %s\r\n", mime.FormatMediaType("attachment", map[string]string{"filename": fileName}))
	}
	b.WriteString("\r\n")
	encoded := base64.StdEncoding.EncodeToString(content)
	for len(encoded) > 76 {
		b.WriteString(encoded[:76] + "\r\n")
		encoded = encoded[76:]
	}
	b.WriteString(encoded + "\r\n")
	return b.Bytes()
}

func htmlTitle(content []byte) string {
	doc, err := html.Parse(bytes.NewReader(content))
	if err != nil {
		return ""
	}
	for n := range doc.Descendants() {
		if n.DataAtom == atom.Title && n.FirstChild != nil {
			return strings.Join(strings.Fields(n.FirstChild.Data), " ")
		}
	}
	return ""
}

// language tells Hebrew mails from others by their letters.
func language(raw []byte) string {
	env, err := enmime.NewParser(enmime.DisableTextConversion(true)).ReadEnvelope(bytes.NewReader(raw))
	if err != nil {
		return "unknown"
	}
	text := env.GetHeader("Subject") + env.Text + env.HTML
	if strings.TrimSpace(text) == "" {
		return "unknown"
	}
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Hebrew, r) }) {
		return "hebrew"
	}
	return "other"
}
