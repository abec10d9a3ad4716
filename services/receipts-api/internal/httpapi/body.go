package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"

	"github.com/labstack/echo/v4"
)

const maxBody = 64 << 10 // bytes

var errNotJSON = problem{
	status: http.StatusBadRequest, code: "invalid_body",
	text: "The body is not one JSON object", action: "Send one JSON object, or no body at all",
}

// readBody reads the request's JSON object into the fields of a struct. No body
// leaves them as they are. A field that the struct lacks, or one of a wrong
// type, is a 400 that names it; names count as they are written.
func readBody(c echo.Context, into any) error {
	data, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return problem{
			status: http.StatusRequestEntityTooLarge, code: "body_too_large",
			text: "The body is larger than 64 KiB", action: "Send a smaller body",
		}
	case err != nil:
		return problem{
			status: http.StatusBadRequest, code: "body_unreadable",
			text: "The body could not be read to its end", action: "Send the request again",
		}.because(err)
	case len(bytes.TrimSpace(data)) == 0:
		return nil
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(data, &given); err != nil {
		return errNotJSON.because(err)
	}
	if given == nil { // null
		return errNotJSON
	}
	fields := fieldsOf(into)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		field, ok := fields[name]
		if !ok {
			return unknownField(name)
		}
		if err := json.Unmarshal(given[name], field.pointer); err != nil {
			return badField(name, "must be "+field.want)
		}
	}
	return nil
}

var errNotQuery = problem{
	status: http.StatusBadRequest, code: "invalid_query",
	text: "The query of the address is malformed", action: "Within a value, write '%' as %25 and ';' as %3B",
}

// readQuery reads the request's parameters, each given once and none unknown:
// whoever sent one that is passed over would take the answer for another.
func readQuery(c echo.Context, known ...string) (map[string]string, error) {
	query, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return nil, errNotQuery // without the cause, which shows what was searched for
	}
	params := make(map[string]string, len(query))
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case !slices.Contains(known, name):
			return nil, unknownField(name)
		case len(query[name]) > 1:
			return nil, badField(name, "must be given once")
		}
		params[name] = query[name][0]
	}
	return params, nil
}

// unknownField is a 400 that names a field or parameter, of which it shows no
// more than its beginning.
func unknownField(name string) problem {
	if runes := []rune(name); len(runes) > 64 {
		name = string(runes[:64]) + "…"
	}
	return problem{
		status: http.StatusBadRequest, code: "unknown_field", field: name,
		text: "Unknown field '" + name + "'", action: "Leave '" + name + "' out, or correct its name",
	}
}

type field struct {
	pointer any
	want    string // in words
}

// fieldsOf are the fields of the struct that into points to, by their JSON names.
func fieldsOf(into any) map[string]field {
	v := reflect.ValueOf(into).Elem()
	fields := make(map[string]field, v.NumField())
	for i := range v.NumField() {
		t := v.Type().Field(i).Type
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		want := "a string"
		switch t.Kind() { //nolint:exhaustive // what bodies have
		case reflect.Int:
			want = "a whole number"
		case reflect.Bool:
			want = "true or false"
		}
		fields[v.Type().Field(i).Tag.Get("json")] = field{v.Field(i).Addr().Interface(), want}
	}
	return fields
}
