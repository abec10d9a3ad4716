package gmailsim

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// schemaDoc is what the discovery document says of types.
type schemaDoc struct {
	Schemas map[string]*schema `json:"schemas"`
}

type schema struct {
	Ref        string             `json:"$ref"`
	Type       string             `json:"type"`
	Format     string             `json:"format"`
	Properties map[string]*schema `json:"properties"`
	Items      *schema            `json:"items"`
}

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
	if err := json.Unmarshal(text, doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// schemaTransport checks every successful answer on its way to the client.
type schemaTransport struct {
	t    *testing.T
	doc  *schemaDoc
	base http.RoundTripper
}

func (s *schemaTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.base.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	body, readErr := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	// What a fault cut off goes on to the client just as broken.
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), errReader{readErr}))
	plain := body
	if resp.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			s.t.Errorf("%s: %v", r.URL.Path, err)
			return resp, nil
		}
		if plain, readErr = io.ReadAll(z); readErr != nil {
			return resp, nil
		}
	}
	var value any
	numbers := json.NewDecoder(bytes.NewReader(plain))
	numbers.UseNumber()
	if readErr != nil || numbers.Decode(&value) != nil {
		return resp, nil
	}
	name := s.typeOf(r.URL.Path)
	if problem := s.doc.check(&schema{Ref: name}, value, name); problem != "" {
		s.t.Errorf("%s answers against the discovery document: %s", r.URL.Path, problem)
	}
	return resp, nil
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) {
	if e.err == nil {
		return 0, io.EOF
	}
	return 0, e.err
}

func (s *schemaTransport) typeOf(path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "/gmail/v1/users/me/"), "/")
	switch {
	case parts[0] == "profile":
		return "Profile"
	case parts[0] == "history":
		return "ListHistoryResponse"
	case len(parts) == 1:
		return "ListMessagesResponse"
	case len(parts) == 2:
		return "Message"
	}
	return "MessagePartBody"
}

// check says where value is not what the schema wants, or nothing.
func (d *schemaDoc) check(s *schema, value any, at string) string {
	if s.Ref != "" {
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
		if _, err := strconv.ParseInt(number.String(), 10, 32); !ok || err != nil {
			return fmt.Sprintf("%s is %v, want an integer of 32 bits", at, value)
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
