package gmailsim

import (
	"cmp"
	"net/http"
	"strconv"
	"time"
)

// apiError is an answer of Gmail's that is no success.
type apiError struct {
	code    int
	reason  string
	message string
	retry   retryHint
}

// retryHint is when Gmail says to come again, and where it says it: in the
// header Retry-After, by seconds or a date (RFC 9110, 10.2.3), or in the text.
type retryHint struct {
	after time.Duration
	form  string // empty is retrySeconds
}

func (h retryHint) header(now time.Time) http.Header {
	header := http.Header{}
	switch {
	case h.after == 0 || h.form == retryMessage:
	case h.form == retryDate:
		header.Set("Retry-After", now.Add(h.after).UTC().Format(http.TimeFormat))
	default:
		header.Set("Retry-After", strconv.Itoa(int(h.after/time.Second)))
	}
	return header
}

func (h retryHint) text(now time.Time) string {
	if h.form != retryMessage {
		return ""
	}
	return "  Retry after " + now.Add(h.after).UTC().Format("2006-01-02T15:04:05.000Z")
}

// errorText is what Gmail says for a reason: the status of its newer errors, the
// domain of its older ones, and the message.
type errorText struct {
	status, domain, message string
}

func textOf(code int, reason string) errorText {
	switch reason {
	case "authError":
		return errorText{"UNAUTHENTICATED", "global", "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential."}
	case "rateLimitExceeded":
		if code == http.StatusTooManyRequests {
			return errorText{"RESOURCE_EXHAUSTED", "global", "Resource has been exhausted (e.g. check quota)."}
		}
		return errorText{"PERMISSION_DENIED", "usageLimits", "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute per user' of service 'gmail.googleapis.com'."}
	case "userRateLimitExceeded":
		return errorText{"RESOURCE_EXHAUSTED", "usageLimits", "User-rate limit exceeded."}
	case "quotaExceeded":
		return errorText{"PERMISSION_DENIED", "usageLimits", "Quota exceeded."}
	case "dailyLimitExceeded":
		return errorText{"PERMISSION_DENIED", "usageLimits", "Daily Limit Exceeded. The quota will be reset at midnight Pacific Time (PT)."}
	case "domainPolicy":
		return errorText{"PERMISSION_DENIED", "global", "The domain administrators have disabled Gmail apps."}
	case "insufficientPermissions":
		return errorText{"PERMISSION_DENIED", "global", "Request had insufficient authentication scopes."}
	case "failedPrecondition":
		return errorText{"FAILED_PRECONDITION", "global", "Precondition check failed."}
	case "notFound":
		return errorText{"NOT_FOUND", "global", "Requested entity was not found."}
	case "deleted":
		return errorText{"NOT_FOUND", "global", "Resource has been deleted"}
	case "invalidArgument":
		return errorText{"INVALID_ARGUMENT", "global", "Invalid argument."}
	case "backendError":
		return errorText{"UNAVAILABLE", "global", "Backend Error"}
	}
	return errorText{"UNKNOWN", "global", cmp.Or(http.StatusText(code), "Unknown Error.")}
}

// defaultReason is the reason that a bare status code most often comes with.
func defaultReason(code int) string {
	switch code {
	case http.StatusBadRequest:
		return "failedPrecondition"
	case http.StatusUnauthorized:
		return "authError"
	case http.StatusForbidden, http.StatusTooManyRequests:
		return "rateLimitExceeded"
	case http.StatusNotFound:
		return "notFound"
	case http.StatusGone:
		return "deleted"
	}
	return "backendError"
}

// Error makes an apiError the error of a handler.
func (e *apiError) Error() string { return e.reason }

func invalidArgument(message string) *apiError {
	return &apiError{code: http.StatusBadRequest, reason: "invalidArgument", message: message}
}

func notFound() *apiError { return &apiError{code: http.StatusNotFound, reason: "notFound"} }

// isRate tells whether the error means that too much was asked for.
func (e *apiError) isRate() bool {
	return e.code == http.StatusTooManyRequests || textOf(e.code, e.reason).domain == "usageLimits"
}

// answer is the error as Google's APIs write it: googleapi.Error reads code,
// message and errors.
func (e *apiError) answer(now time.Time) answer {
	text := textOf(e.code, e.reason)
	message := e.message
	if message == "" {
		message = text.message
	}
	message += e.retry.text(now)
	body := wireError{}
	body.Error.Code = e.code
	body.Error.Message = message
	body.Error.Status = text.status
	body.Error.Errors = []wireErrorItem{{Domain: text.domain, Reason: e.reason, Message: message}}
	if e.reason == "insufficientPermissions" {
		body.Error.Details = []wireErrorInfo{{
			Type: "type.googleapis.com/google.rpc.ErrorInfo", Reason: "ACCESS_TOKEN_SCOPE_INSUFFICIENT", Domain: "googleapis.com",
		}}
	}
	return answer{status: e.code, header: e.retry.header(now), body: body}
}
