package mailbox

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxMail is the largest mail that Gmail takes in, in bytes.
const MaxMail = 50 << 20

// Folder is a Source of the mails in a folder, at any depth, in the order of
// their paths. .html and .pdf files are wrapped as mails. Files are read when
// they are asked for; other kinds of files are left out.
type Folder struct {
	root  fs.FS
	paths []string
	end   time.Time
}

// OpenFolder lists the mails under dir. Their dates are spread evenly over the
// twelve months before end.
func OpenFolder(dir string, end time.Time) (*Folder, error) {
	f := &Folder{root: os.DirFS(dir), end: end}
	err := fs.WalkDir(f.root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		kinds := []string{".eml", ".html", ".pdf"}
		if entry.Type().IsRegular() && slices.Contains(kinds, strings.ToLower(path.Ext(name))) {
			f.paths = append(f.paths, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list mails in %s: %w", dir, err)
	}
	if len(f.paths) == 0 {
		return nil, fmt.Errorf("list mails in %s: %w", dir, errors.New("no .eml, .html or .pdf files"))
	}
	return f, nil
}

// Len is the number of mails.
func (f *Folder) Len() int { return len(f.paths) }

// Path is the file, relative to the folder, that mail i is made of.
func (f *Folder) Path(i int) string { return f.paths[i] }

// Date is when the mail came.
func (f *Folder) Date(i int) time.Time {
	start := f.end.AddDate(-1, 0, 0)
	step := f.end.Sub(start) / time.Duration(len(f.paths)+1)
	return start.Add(time.Duration(i+1) * step)
}

// Labels is the same for every mail.
func (f *Folder) Labels(int) []string { return []string{"INBOX", "CATEGORY_UPDATES"} }

// Text is what a search sees of the mail.
func (f *Folder) Text(i int) (Text, error) {
	raw, err := f.Raw(i)
	if err != nil {
		return Text{}, err
	}
	return readText(raw), nil
}

// Raw is the mail.
func (f *Folder) Raw(i int) ([]byte, error) {
	name := f.paths[i]
	content, err := f.read(name)
	if err != nil {
		return nil, fmt.Errorf("read mail %s: %w", name, err)
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".html":
		mediaType := "text/html"
		if utf8.Valid(content) {
			mediaType += "; charset=utf-8" // else the page itself has to say
		}
		return wrap(name, f.Date(i), mediaType, "", content), nil
	case ".pdf":
		return wrap(name, f.Date(i), "application/pdf", path.Base(name), content), nil
	}
	return content, nil
}

func (f *Folder) read(name string) ([]byte, error) {
	file, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, MaxMail+1))
	if err == nil && len(content) > MaxMail {
		err = fmt.Errorf("over %d bytes", MaxMail)
	}
	return content, err
}

// wrap makes a mail of a document: as its body, or, with a file name, attached
// to a line of text.
func wrap(name string, date time.Time, mediaType, attachAs string, content []byte) []byte {
	subject := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
	subject = strings.NewReplacer("_", " ", "-", " ").Replace(subject)
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Documents <documents@example.com>\r\nTo: owner@example.com\r\nSubject: %s\r\nDate: %s\r\nMIME-Version: 1.0\r\n",
		mime.QEncoding.Encode("utf-8", subject), date.Format(time.RFC1123Z))
	if attachAs == "" {
		fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Transfer-Encoding: base64\r\n\r\n", mediaType)
		WriteBase64(&b, content)
		return b.Bytes()
	}
	const boundary = "=_wrapped"
	disposition := mime.FormatMediaType("attachment", map[string]string{"filename": attachAs})
	fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=%q\r\n\r\n--%[1]s\r\n", boundary)
	b.WriteString("Content-Type: text/plain; charset=utf-8\r\n\r\nThe document is attached.\r\n")
	fmt.Fprintf(&b, "--%s\r\nContent-Type: %s\r\nContent-Disposition: %s\r\nContent-Transfer-Encoding: base64\r\n\r\n",
		boundary, mediaType, disposition)
	WriteBase64(&b, content)
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	return b.Bytes()
}

// WriteBase64 writes lines of 76 characters, as RFC 2045 asks.
func WriteBase64(b *bytes.Buffer, content []byte) {
	text := base64.StdEncoding.AppendEncode(nil, content)
	for line := range slices.Chunk(text, 76) {
		b.Write(line)
		b.WriteString("\r\n")
	}
}
