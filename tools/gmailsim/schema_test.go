package gmailsim

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// schemaDoc is what the discovery document says of calls and of types.
type schemaDoc struct {
	resource
	Schemas map[string]*schema `json:"schemas"`
}

type resource struct {
	Resources map[string]resource `json:"resources"`
	Methods   map[string]struct {
		ID         string  `json:"id"`
		HTTPMethod string  `json:"httpMethod"`
		FlatPath   string  `json:"flatPath"`
		Response   *schema `json:"response"`
	} `json:"methods"`
}

type schema struct {
	Ref        string             `json:"$ref"`
	Type       string             `json:"type"`
	Format     string             `json:"format"`
	Properties map[string]*schema `json:"properties"`
	Items      *schema            `json:"items"`
}

// always are the fields that Gmail never leaves out: the document does not say.
func always() map[string][]string {
	return map[string][]string{
		"Profile":              {"emailAddress", "messagesTotal", "threadsTotal", "historyId"},
		"ListMessagesResponse": {"resultSizeEstimate"},
		"Message":              {"id", "threadId"},
		"MessagePart":          {"mimeType"},
		"MessagePartBody":      {"size"},
		"ListHistoryResponse":  {"historyId"},
		"History":              {"id", "messages"},
		"HistoryMessageAdded":  {"message"},
		"HistoryLabelAdded":    {"message", "labelIds"},
		"Error":                {"error"},
		"Error.error":          {"code", "message", "status", "errors"},
		"Error.errors":         {"domain", "reason", "message"},
	}
}

// errorSchemas are Google's errors, which the document leaves out: of the older
// kind, which googleapi.Error reads, with what AIP-193 adds.
const errorSchemas = `{
	"Error": {"type": "object", "properties": {"error": {"$ref": "Error.error"}}},
	"Error.error": {"type": "object", "properties": {
		"code": {"type": "integer", "format": "int32"}, "message": {"type": "string"}, "status": {"type": "string"},
		"errors": {"type": "array", "items": {"$ref": "Error.errors"}},
		"details": {"type": "array", "items": {"type": "object", "properties": {
			"@type": {"type": "string"}, "reason": {"type": "string"}, "domain": {"type": "string"}}}}}},
	"Error.errors": {"type": "object", "properties": {
		"domain": {"type": "string"}, "reason": {"type": "string"}, "message": {"type": "string"}}}
}`

// discovery reads the document that ships with the client under test.
func discovery(t *testing.T) *schemaDoc {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "google.golang.org/api").Output()
	if err != nil {
		t.Fatalf("find the client's module: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "gmail", "v1", "gmail-api.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc := &schemaDoc{}
	if err := errors.Join(json.Unmarshal(text, doc), json.Unmarshal([]byte(errorSchemas), &doc.Schemas)); err != nil {
		t.Fatal(err)
	}
	return doc
}

// call finds the method that a request is of, by its id, and what it answers.
func (r resource) call(req *http.Request) (id string, response *schema) {
	for _, m := range r.Methods {
		path := regexp.MustCompile(`\{\w+\}`).ReplaceAllString("/"+m.FlatPath, "[^/]+")
		if m.HTTPMethod == req.Method && regexp.MustCompile("^"+path+"$").MatchString(req.URL.Path) {
			return m.ID, m.Response
		}
	}
	for _, inner := range r.Resources {
		if id, response = inner.call(req); id != "" {
			return id, response
		}
	}
	return "", nil
}

// schemaTransport checks every answer on its way to the client, errors too.
// Only where faults are in force may one be no JSON.
type schemaTransport struct {
	t      *testing.T
	doc    *schemaDoc
	base   http.RoundTripper
	faulty func() bool

	mu      sync.Mutex
	checked map[string]int // by method and status
}

func (s *schemaTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, readErr := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	// What a fault cut off goes on to the client just as broken.
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), errReader{readErr}))
	value, err := decoded(resp.Header, body)
	if err = errors.Join(readErr, err); err != nil {
		if !s.faulty() {
			s.t.Errorf("%s answers no JSON: %v", r.URL.Path, err)
		}
		return resp, nil
	}
	id, want := s.doc.call(r)
	if want == nil {
		s.t.Errorf("%s %s is in no discovery document", r.Method, r.URL.Path)
		return resp, nil
	}
	if resp.StatusCode != http.StatusOK {
		want = &schema{Ref: "Error"}
	}
	if problem := s.doc.check(want, value, want.Ref); problem != "" {
		s.t.Errorf("%s answers %d against the discovery document: %s", r.URL.Path, resp.StatusCode, problem)
	}
	if code, ok := errorCode(value); ok && code != resp.StatusCode {
		s.t.Errorf("%s answers %d with an error %d", r.URL.Path, resp.StatusCode, code)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checked[fmt.Sprintf("%s %d", id, resp.StatusCode)]++
	return resp, nil
}

func decoded(header http.Header, body []byte) (value any, err error) {
	if kind := header.Get("Content-Type"); kind != "application/json; charset=UTF-8" {
		return nil, fmt.Errorf("the content type is %q", kind)
	}
	var plain io.Reader = bytes.NewReader(body)
	if header.Get("Content-Encoding") == "gzip" {
		if plain, err = gzip.NewReader(plain); err != nil {
			return nil, err
		}
	}
	numbers := json.NewDecoder(plain)
	numbers.UseNumber()
	return value, numbers.Decode(&value)
}

func errorCode(value any) (int, bool) {
	fields, _ := value.(map[string]any)
	inner, ok := fields["error"].(map[string]any)
	number, _ := inner["code"].(json.Number)
	code, err := strconv.Atoi(number.String())
	return code, ok && err == nil
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) {
	if e.err == nil {
		return 0, io.EOF
	}
	return 0, e.err
}

// check says where value is not what the schema wants, or nothing.
func (d *schemaDoc) check(s *schema, value any, at string) string {
	if s.Ref != "" {
		fields, _ := value.(map[string]any)
		for _, name := range always()[s.Ref] {
			if _, ok := fields[name]; !ok {
				return at + " lacks " + name
			}
		}
		return d.check(d.Schemas[s.Ref], value, at)
	}
	switch s.Type {
	case "object":
		fields, ok := value.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s is %T, want an object", at, value)
		}
		for name, field := range fields {
			property := s.Properties[name]
			if property == nil {
				return at + "." + name + " is not in the schema"
			}
			if problem := d.check(property, field, at+"."+name); problem != "" {
				return problem
			}
		}
	case "array":
		items, ok := value.([]any)
		if !ok || len(items) == 0 {
			return fmt.Sprintf("%s is %v, want an array that is not empty", at, value)
		}
		for i, item := range items {
			if problem := d.check(s.Items, item, fmt.Sprintf("%s[%d]", at, i)); problem != "" {
				return problem
			}
		}
	case "integer":
		number, ok := value.(json.Number)
		n, err := strconv.ParseInt(number.String(), 10, 32)
		if !ok || err != nil || (s.Format == "uint32" && n < 0) {
			return fmt.Sprintf("%s is %v, want an integer of 32 bits (%s)", at, value, s.Format)
		}
	case "string":
		text, ok := value.(string)
		if !ok {
			return fmt.Sprintf("%s is %T, want a string", at, value)
		}
		return checkFormat(s.Format, text, at)
	default:
		return at + " has the type " + s.Type
	}
	return ""
}

func checkFormat(format, text, at string) string {
	var err error
	switch format {
	case "uint64":
		_, err = strconv.ParseUint(text, 10, 64)
	case "int64":
		_, err = strconv.ParseInt(text, 10, 64)
	case "byte":
		_, err = base64.URLEncoding.DecodeString(text)
	}
	if err != nil {
		return fmt.Sprintf("%s is no %s: %v", at, format, err)
	}
	return ""
}
