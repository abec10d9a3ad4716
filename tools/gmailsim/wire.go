package gmailsim

// The shapes of Gmail's REST answers, by the discovery document gmail-api.json:
// 64-bit numbers are strings, what is empty is left out.

type wireProfile struct {
	EmailAddress  string `json:"emailAddress"`
	MessagesTotal int    `json:"messagesTotal"`
	ThreadsTotal  int    `json:"threadsTotal"`
	HistoryID     uint64 `json:"historyId,string"`
}

type wireList struct {
	Messages           []wireRef `json:"messages,omitempty"`
	NextPageToken      string    `json:"nextPageToken,omitempty"`
	ResultSizeEstimate int       `json:"resultSizeEstimate"`
}

type wireRef struct {
	ID       string   `json:"id"`
	ThreadID string   `json:"threadId"`
	LabelIDs []string `json:"labelIds,omitempty"`
}

type wireMessage struct {
	ID           string    `json:"id"`
	ThreadID     string    `json:"threadId"`
	LabelIDs     []string  `json:"labelIds,omitempty"`
	Snippet      string    `json:"snippet"`
	Payload      *wirePart `json:"payload,omitempty"`
	SizeEstimate int       `json:"sizeEstimate"`
	HistoryID    uint64    `json:"historyId,string"`
	InternalDate int64     `json:"internalDate,string"` // milliseconds
	Raw          string    `json:"raw,omitempty"`       // base64url
}

type wirePart struct {
	PartID   string       `json:"partId"`
	MimeType string       `json:"mimeType"`
	Filename string       `json:"filename"`
	Headers  []wireHeader `json:"headers,omitempty"`
	Body     *wireBody    `json:"body,omitempty"`
	Parts    []*wirePart  `json:"parts,omitempty"`
}

type wireHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type wireBody struct {
	AttachmentID string `json:"attachmentId,omitempty"`
	Size         int    `json:"size"`
	Data         string `json:"data,omitempty"` // base64url
}

type wireHistoryList struct {
	History       []wireHistory `json:"history,omitempty"`
	NextPageToken string        `json:"nextPageToken,omitempty"`
	HistoryID     uint64        `json:"historyId,string"`
}

type wireHistory struct {
	ID              uint64            `json:"id,string"`
	Messages        []wireRef         `json:"messages"`
	MessagesAdded   []wireChange      `json:"messagesAdded,omitempty"`
	MessagesDeleted []wireChange      `json:"messagesDeleted,omitempty"`
	LabelsAdded     []wireLabelChange `json:"labelsAdded,omitempty"`
	LabelsRemoved   []wireLabelChange `json:"labelsRemoved,omitempty"`
}

type wireChange struct {
	Message wireRef `json:"message"`
}

type wireLabelChange struct {
	Message  wireRef  `json:"message"`
	LabelIDs []string `json:"labelIds"`
}

type wireError struct {
	Error struct {
		Code    int             `json:"code"`
		Message string          `json:"message"`
		Status  string          `json:"status"`
		Errors  []wireErrorItem `json:"errors"`
		Details []wireErrorInfo `json:"details,omitempty"`
	} `json:"error"`
}

type wireErrorItem struct {
	Domain  string `json:"domain"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

type wireErrorInfo struct {
	Type   string `json:"@type"`
	Reason string `json:"reason"`
	Domain string `json:"domain"`
}
