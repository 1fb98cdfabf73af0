package rabbitmq

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/conchmq/conch/internal/connect"
)

// property is one of AMQP that is a header of conch's messages. The others are about the queue, or have a place of their own.
type property struct {
	name string
	of   func(p *amqp.Publishing) *string
}

var properties = []property{
	{"content-type", func(p *amqp.Publishing) *string { return &p.ContentType }},
	{"content-encoding", func(p *amqp.Publishing) *string { return &p.ContentEncoding }},
	{"correlation-id", func(p *amqp.Publishing) *string { return &p.CorrelationId }},
	{"reply-to", func(p *amqp.Publishing) *string { return &p.ReplyTo }},
	{"type", func(p *amqp.Publishing) *string { return &p.Type }},
	{"app-id", func(p *amqp.Publishing) *string { return &p.AppId }},
}

// readHeaders returns properties, then headers by their names, so that the same delivery gives the same entry.
func readHeaders(d *amqp.Delivery) (headers []connect.Header) {
	p := amqp.Publishing{
		ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, CorrelationId: d.CorrelationId, ReplyTo: d.ReplyTo, Type: d.Type, AppId: d.AppId,
	}
	for _, property := range properties {
		if value := *property.of(&p); value != "" {
			headers = append(headers, connect.Header{Name: property.name, Value: value})
		}
	}
	named := len(headers)
	for name, value := range d.Headers {
		if text, ok := textOf(value); ok {
			headers = append(headers, connect.Header{Name: name, Value: text})
		}
	}
	slices.SortFunc(headers[named:], func(a, b connect.Header) int { return strings.Compare(a.Name, b.Name) })
	return headers
}

// textOf is the value of a header as a text: tables and lists are JSON, nothing is no header.
func textOf(value any) (string, bool) {
	switch v := value.(type) {
	case nil:
		return "", false
	case string:
		return v, true
	case []byte:
		return string(v), true
	case time.Time:
		return v.UTC().Format(time.RFC3339), true
	case amqp.Table, []any:
		text, err := json.Marshal(v)
		return string(text), err == nil
	default:
		return fmt.Sprint(v), true
	}
}

// setHeaders gives a message its properties and headers. A name that repeats keeps its last value, because AMQP has a table.
func setHeaders(p *amqp.Publishing, headers []connect.Header) {
	for _, h := range headers {
		i := slices.IndexFunc(properties, func(known property) bool { return known.name == h.Name })
		switch {
		case i >= 0 && len(h.Value) <= maxShort:
			*properties[i].of(p) = h.Value
		case len(h.Name) > maxShort: // AMQP cannot write it
		default:
			if p.Headers == nil {
				p.Headers = make(amqp.Table, len(headers))
			}
			p.Headers[h.Name] = h.Value
		}
	}
}

// maxShort is the length of a short string of AMQP: a property, a routing key, a name.
const maxShort = 255
