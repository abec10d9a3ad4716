package receiptmail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"mime"
	"net/mail"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/jhillyerd/enmime/v2"
	"github.com/jhillyerd/enmime/v2/mediatype"
	"github.com/shopspring/decimal"

	"github.com/prosaas/receipts/pkg/receiptmail/internal/charset"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/money"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/page"
	"github.com/prosaas/receipts/pkg/receiptmail/internal/script"
	"github.com/prosaas/receipts/proto"
)

// Bounds on what is looked at. What lies beyond is left out, and the rest read.
const (
	maxParts      = 10_000  // of one message and what is nested in it
	maxMultiparts = 40      // containers of one message and what is nested in it
	maxContainers = 12      // of one message, so they nest no deeper: the end of what none of them closes enmime reads twice as often with each
	maxDepth      = 20      // of messages inside messages
	maxHTMLBytes  = 8 << 20 // of one part, markup included: style sheets before the amount run long
	maxHeader     = 1000    // characters of a header
	maxSentence   = 300     // characters of running text that are looked at as one
	maxDocuments  = 20
)

// message is a mail taken apart: who sent it, what it says, what came with it.
type message struct {
	from     sender
	subject  string
	bulk     bool // sent to a list, or with a way to unsubscribe
	received time.Time
	docs     []*document
	files    []file
	invoices []invoice // structured ones
}

type sender struct {
	name    string
	address string // lower case
	domain  string // lower case, of the address
}

// The kinds of documents, as the source of a field names them.
const (
	kindHTML = "html"
	kindText = "text"
	kindPDF  = "pdf"
)

// document is one text of the mail, in the order in which a reader sees it.
type document struct {
	kind   string
	origin string // what a receipt in it was read from
	lines  []page.Line
	markup page.Markup

	amounts  [][][]money.Amount // of each cell of each line: see [document.scan]
	readings []reading          // see [message.readingsOf]
}

// scan reads the amounts of a document's cells, once.
func (d *document) scan() [][][]money.Amount {
	if d.amounts != nil {
		return d.amounts
	}
	d.amounts = make([][][]money.Amount, len(d.lines))
	looked := 0
	for i, l := range d.lines {
		d.amounts[i] = make([][]money.Amount, len(l.Cells))
		for j, cell := range l.Cells {
			d.amounts[i][j] = money.Scan(cell, &looked)
		}
	}
	return d.amounts
}

// holds tells whether line i tells the amount.
func (d *document) holds(i int, value decimal.Decimal) bool {
	return slices.ContainsFunc(d.scan()[i], func(cell []money.Amount) bool {
		return slices.ContainsFunc(cell, func(a money.Amount) bool { return a.Value.Equal(value) })
	})
}

// texts are the mail's own texts. HTML comes first: its tables tell which label
// an amount belongs to.
func (m *message) texts() []*document {
	var sorted []*document
	for _, kind := range []string{kindHTML, kindText} {
		for _, doc := range m.docs {
			if doc.kind == kind {
				sorted = append(sorted, doc)
			}
		}
	}
	return sorted
}

// main is the text that tells best what the mail is: its own, or else that of
// the first document attached, and empty where there is none.
func (m *message) main() *document {
	for _, doc := range append(m.texts(), m.docs...) {
		return doc
	}
	return &document{}
}

// file is an attachment.
type file struct {
	proto.Attachment
	sha256  string
	content []byte
	read    bool // its text was read
}

// originBody is the origin of what the mail itself says.
const originBody = "body"

// parseMessage takes a message apart.
func parseMessage(raw []byte, received time.Time) (*message, error) {
	m := &message{received: received}
	p := &parser{message: m}
	root, err := p.read(raw)
	if err != nil {
		return nil, err
	}
	m.readHeader(root.Header)
	p.walk(root, 0)
	if len(m.docs) == 0 && len(m.files) == 0 {
		p.addText(&enmime.Part{ContentType: "text/plain", Content: bodyOf(raw)})
	}
	m.bound()
	for _, doc := range m.docs {
		page.TurnVisual(doc.lines)
	}
	m.cutQuoted()
	m.readForwarded()
	return m, nil
}

// parser counts what it has seen of one message.
type parser struct {
	message    *message
	parts      int
	multiparts int
	containers int // of the message that is being read
}

// read parses MIME. Text parts keep their bytes as sent: enmime would guess
// their charset, which costs more than all the rest and guesses Hebrew wrong.
func (p *parser) read(raw []byte) (*enmime.Part, error) {
	raw, p.containers = firstParts(raw), 0
	mp := enmime.NewParser(
		enmime.DisableTextConversion(true),
		enmime.DisableCharacterDetection(true),
		enmime.SkipMalformedParts(true),
		enmime.MultipartWOBoundaryAsSinglePart(true),
		enmime.SetReadPartErrorPolicy(func(*enmime.Part, error) bool { return true }),
		enmime.MaxStoredPartErrors(10),
		enmime.SetCustomParseMediaType(p.mediaType),
	)
	root, err := mp.ReadParts(bytes.NewReader(raw))
	if err == nil && len(root.Header) > 0 {
		return root, nil
	}
	// What enmime refuses may still have a header and a text below it.
	plain, perr := mail.ReadMessage(bytes.NewReader(raw))
	if perr != nil || len(plain.Header) == 0 {
		return nil, &UnreadableError{Reason: ReasonNoHeader}
	}
	return &enmime.Part{Header: textproto.MIMEHeader(plain.Header), ContentType: "text/plain", Content: bodyOf(raw)}, nil
}

// bodyOf is whatever follows the first empty line: what is left of a message
// whose parts are not where its header says.
func bodyOf(raw []byte) []byte {
	for _, gap := range []string{"\r\n\r\n", "\n\n"} {
		if _, body, ok := bytes.Cut(raw, []byte(gap)); ok {
			return body
		}
	}
	return nil
}

// firstParts cuts a message off after maxParts lines that may begin a part: a
// part can be five bytes long, and costs a thousand in memory.
func firstParts(raw []byte) []byte {
	at := 0
	for range maxParts {
		i := bytes.Index(raw[at:], []byte("\n--"))
		if i < 0 {
			return raw
		}
		at += i + 3
	}
	return raw[:at]
}

// mediaType is how enmime learns the type of a part. It turns charset
// conversion off, and past the bounds it turns containers into leaves.
func (p *parser) mediaType(value string) (string, map[string]string, []string, error) {
	mtype, params, invalid, err := mediatype.Parse(value)
	if err != nil {
		// A part whose type cannot be read is a file of no known type.
		return "application/octet-stream", map[string]string{}, nil, nil //nolint:nilerr // no reason to lose the part
	}
	if params == nil {
		params = map[string]string{}
	}
	params["charset"] = "utf-8"
	if strings.HasPrefix(mtype, "multipart/") && params["boundary"] != "" {
		p.multiparts, p.containers = p.multiparts+1, p.containers+1
	}
	if !strings.HasPrefix(mtype, "multipart/") || p.multiparts > 2*maxMultiparts || p.containers > 2*maxContainers { // enmime asks twice of each
		delete(params, "boundary")
	}
	return mtype, params, invalid, nil
}

func (m *message) readHeader(h textproto.MIMEHeader) {
	m.subject = script.Clip(script.Normalise(charset.Header(h.Get("Subject"))), maxHeader)
	m.from = parseSender(script.Leading(h.Get("From"), 4*maxHeader))
	m.bulk = h.Get("List-Unsubscribe") != "" || h.Get("List-Id") != "" || strings.EqualFold(h.Get("Precedence"), "bulk") || strings.EqualFold(h.Get("Precedence"), "list")
}

// parseSender reads a From header, damaged ones too.
func parseSender(value string) sender {
	var s sender
	if i := strings.LastIndexByte(value, '<'); i >= 0 {
		s.name = charset.Header(value[:i])
		s.address, _, _ = strings.Cut(value[i+1:], ">")
	} else if strings.Contains(value, "@") {
		s.address = value
	} else {
		s.name = charset.Header(value)
	}
	s.name = strings.Trim(script.Clip(script.Normalise(s.name), maxHeader), `"' `)
	s.address = strings.ToLower(strings.TrimSpace(s.address))
	if i := strings.LastIndexByte(s.address, '@'); i >= 0 {
		s.domain = strings.Trim(s.address[i+1:], ". ")
	}
	return s
}

// walk reads the parts below part, the message's own texts before those of
// messages inside it.
func (p *parser) walk(part *enmime.Part, depth int) {
	for ; part != nil; part = part.NextSibling {
		if p.parts++; p.parts > maxParts {
			return
		}
		switch {
		case part.FirstChild != nil:
			p.walk(part.FirstChild, depth)
		case part.ContentType == "message/rfc822" && len(part.Content) > 0:
			p.nested(part.Content, depth+1)
		case isFile(part):
			p.addFile(part)
		case part.ContentType == "text/html" || part.ContentType == "text/plain" || part.ContentType == "" || strings.HasPrefix(part.ContentType, "multipart/"):
			p.addText(part)
		case len(part.Content) > 0:
			p.addFile(part)
		}
	}
}

// nested reads a message that is attached to another: the original of a
// forwarded mail, whose sender is the one that counts.
func (p *parser) nested(raw []byte, depth int) {
	if depth > maxDepth {
		return
	}
	root, err := p.read(raw)
	if err != nil {
		return // the outer message still stands
	}
	p.message.readHeader(root.Header)
	p.walk(root, depth)
}

func isFile(part *enmime.Part) bool {
	return strings.EqualFold(part.Disposition, "attachment") || part.FileName != "" && !strings.HasPrefix(part.ContentType, "text/")
}

func (p *parser) addFile(part *enmime.Part) {
	inlineImage := strings.HasPrefix(part.ContentType, "image/") && !strings.EqualFold(part.Disposition, "attachment")
	if inlineImage {
		return // logos and tracking pixels
	}
	sum := sha256.Sum256(part.Content)
	f := file{sha256: hex.EncodeToString(sum[:]), content: part.Content}
	f.N = len(p.message.files) + 1
	f.Name = script.Normalise(charset.Header(part.FileName))
	f.MediaType = mediaTypeOf(part)
	f.Size = int64(len(part.Content))
	p.message.files = append(p.message.files, f)
}

const (
	mediaPDF  = "application/pdf"
	mediaTNEF = "application/ms-tnef" // winmail.dat, in which Outlook hides what is attached
)

// mediaTypeOf sees through application/octet-stream: what many senders call a PDF.
func mediaTypeOf(part *enmime.Part) string {
	name := strings.ToLower(part.FileName)
	switch {
	case part.ContentType == "application/vnd.ms-tnef", name == "winmail.dat", bytes.HasPrefix(part.Content, []byte("\x78\x9f\x3e\x22")): // MS-OXTNEF 2.1.3.1
		return mediaTNEF
	case bytes.HasPrefix(bytes.TrimLeft(part.Content[:min(len(part.Content), 64)], " \r\n\t\xef\xbb\xbf"), []byte("%PDF-")):
		return mediaPDF
	case part.ContentType != "application/octet-stream" && part.ContentType != "":
		return part.ContentType
	}
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		if t, _, err := mime.ParseMediaType(mime.TypeByExtension(name[i:])); err == nil {
			return t
		}
	}
	return "application/octet-stream"
}

func (p *parser) addText(part *enmime.Part) {
	if len(p.message.docs) >= maxDocuments || len(bytes.TrimSpace(part.Content)) == 0 {
		return
	}
	content := part.Content[:min(len(part.Content), maxHTMLBytes)]
	_, params, _, _ := mediatype.Parse(part.Header.Get("Content-Type")) // as sent: enmime was told utf-8
	text := strings.ReplaceAll(charset.Text(content, params["charset"]), "\x00", "")
	doc := &document{kind: kindText, origin: originBody}
	if part.ContentType == "text/html" || looksLikeHTML(text) {
		doc.kind = kindHTML
		doc.lines, doc.markup = page.HTML(text)
	} else {
		doc.lines = page.Text(script.Leading(text, page.MaxBytes))
	}
	if len(doc.lines) > 0 || doc.markup.Found() {
		p.message.docs = append(p.message.docs, doc)
	}
}

// looksLikeHTML sees HTML that was sent as plain text.
func looksLikeHTML(text string) bool {
	head := strings.ToLower(strings.TrimSpace(text[:min(len(text), 512)]))
	return strings.HasPrefix(head, "<!doctype html") || strings.HasPrefix(head, "<html")
}

// UnreadableError says that nothing at all could be read of a message. Reason
// is a stable code; what the parser said is left out, as it quotes the mail.
type UnreadableError struct {
	Reason string
}

// ReasonNoHeader says that the bytes do not begin with a mail header.
const ReasonNoHeader = "no_header"

func (e *UnreadableError) Error() string { return "read message: " + e.Reason }

// bound cuts the message down to as many lines, and as much text, as is looked
// at: all that is read of it later costs a bounded time. HTML counts first, as
// it is read first.
func (m *message) bound() {
	left, text := page.MaxLines, page.MaxBytes
	for _, kind := range []string{kindHTML, kindText} {
		for _, doc := range m.docs {
			if doc.kind == kind {
				doc.lines = page.Bound(doc.lines, &left, &text)
			}
		}
	}
}
