package gmailsim

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"mime"
	"slices"
	"strconv"
	"strings"

	"github.com/jhillyerd/enmime/v2"
)

// metadata is the payload of format=metadata: the headers, or those named.
func metadata(raw []byte, names []string) *wirePart {
	part := &wirePart{MimeType: "text/plain"}
	for _, h := range headersOf(raw) {
		if strings.EqualFold(h.Name, "Content-Type") {
			part.MimeType, _, _ = strings.Cut(h.Value, ";")
		}
		named := slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, h.Name) })
		if len(names) == 0 || named {
			part.Headers = append(part.Headers, h)
		}
	}
	return part
}

// headersOf reads the head of a mail in its order, unfolded and decoded, as
// Gmail gives it.
func headersOf(raw []byte) []wireHeader {
	head, _, _ := bytes.Cut(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")), []byte("\n\n"))
	var out []wireHeader
	words := mime.WordDecoder{}
	for text := range strings.SplitSeq(string(head), "\n") {
		if folded := strings.TrimLeft(text, " \t"); folded != text && len(out) > 0 {
			out[len(out)-1].Value += " " + folded
			continue
		}
		if name, value, ok := strings.Cut(text, ":"); ok {
			out = append(out, wireHeader{Name: name, Value: strings.TrimSpace(value)})
		}
	}
	for i := range out {
		if decoded, err := words.DecodeHeader(out[i].Value); err == nil {
			out[i].Value = decoded
		}
	}
	return out
}

// fullPayload is the payload of format=full: the tree of parts, text in place,
// files by a token.
func fullPayload(messageID string, raw []byte) *wirePart {
	root, err := parts(raw)
	if err != nil {
		return metadata(raw, nil)
	}
	out := payloadOf(messageID, root, "")
	out.Headers = headersOf(raw)
	return out
}

func parts(raw []byte) (*enmime.Part, error) {
	return enmime.NewParser(enmime.DisableTextConversion(true)).ReadParts(bytes.NewReader(raw))
}

func payloadOf(messageID string, p *enmime.Part, partID string) *wirePart {
	out := &wirePart{PartID: partID, MimeType: p.ContentType, Filename: p.FileName, Body: &wireBody{Size: len(p.Content)}}
	if out.MimeType == "" {
		out.MimeType = "text/plain"
	}
	for name, values := range p.Header {
		for _, v := range values {
			out.Headers = append(out.Headers, wireHeader{Name: name, Value: v})
		}
	}
	slices.SortFunc(out.Headers, func(a, b wireHeader) int { return strings.Compare(a.Name, b.Name) })
	switch {
	case p.FirstChild != nil:
		out.Body.Size = 0
	case p.FileName != "":
		out.Body.AttachmentID = sealAttachment(messageID, partID)
	default:
		out.Body.Data = base64.URLEncoding.EncodeToString(p.Content)
	}
	n := 0
	for child := p.FirstChild; child != nil; child = child.NextSibling {
		out.Parts = append(out.Parts, payloadOf(messageID, child, childID(partID, n)))
		n++
	}
	return out
}

func childID(parent string, n int) string {
	return strings.TrimPrefix(parent+"."+strconv.Itoa(n), ".")
}

// sealAttachment is a token for a part of a message. It is new each time, as
// Gmail's attachmentId is: whoever keeps one as a key finds nothing again.
func sealAttachment(messageID, partID string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(rand.Text() + "/" + messageID + "/" + partID))
}

func attachment(messageID string, raw []byte, token string) ([]byte, bool) {
	plain, err := base64.RawURLEncoding.DecodeString(token)
	fields := strings.Split(string(plain), "/")
	if err != nil || len(fields) != 3 || fields[1] != messageID {
		return nil, false
	}
	root, err := parts(raw)
	if err != nil {
		return nil, false
	}
	part := partAt(root, "", fields[2])
	if part == nil {
		return nil, false
	}
	return part.Content, true
}

func partAt(p *enmime.Part, at, wanted string) *enmime.Part {
	if at == wanted {
		return p
	}
	n := 0
	for child := p.FirstChild; child != nil; child = child.NextSibling {
		if found := partAt(child, childID(at, n), wanted); found != nil {
			return found
		}
		n++
	}
	return nil
}
