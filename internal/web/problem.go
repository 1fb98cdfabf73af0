package web

import (
	"errors"
	"net/http"

	"github.com/conchmq/conch/protocol"
)

// problem is an error as RFC 9457 describes it: the body of each answer from 400 on.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Code is that of the error reply, if a command was refused.
	Code string `json:"code,omitempty"`
}

func (p *problem) Error() string { return p.Detail }

// complete is the problem with all its members.
func (p *problem) complete() *problem {
	c := *p
	c.Type, c.Title = "about:blank", http.StatusText(p.Status)
	return &c
}

var (
	errStopping = &problem{Status: http.StatusServiceUnavailable, Detail: "conch is stopping"}
	errNoTopic  = &problem{Status: http.StatusBadRequest, Detail: "a topic has at least one byte"}
	errEnded    = &problem{Status: http.StatusServiceUnavailable, Detail: "conch ended the connection of this request"}
)

// statuses are the statuses of error replies. All others are 400.
var statuses = map[string]int{
	string(protocol.CodeNoAuth):    http.StatusUnauthorized,
	string(protocol.CodeWrongPass): http.StatusUnauthorized,
	string(protocol.CodeNoPerm):    http.StatusForbidden,
	string(protocol.CodeDenied):    http.StatusForbidden,
	string(protocol.CodeLastID):    http.StatusPreconditionFailed,
	string(protocol.CodeFenced):    http.StatusPreconditionFailed,
	string(protocol.CodeMisconf):   http.StatusServiceUnavailable, // but see explainRefusal
	string(protocol.CodeOOM):       http.StatusServiceUnavailable,
	string(protocol.CodeNoGroup):   http.StatusNotFound,
	string(protocol.CodeBusyGroup): http.StatusConflict,
	string(protocol.CodeUnblocked): http.StatusServiceUnavailable,
	string(protocol.CodeLoading):   http.StatusServiceUnavailable,
}

// problemOf makes any error a problem.
func problemOf(err error) *problem {
	if p := (*problem)(nil); errors.As(err, &p) {
		return p
	}
	refused := (*errorReply)(nil)
	if !errors.As(err, &refused) {
		return errEnded
	}
	p := &problem{Status: http.StatusBadRequest, Detail: refused.text, Code: refused.code}
	if status, ok := statuses[refused.code]; ok {
		p.Status = status
	}
	return p
}
