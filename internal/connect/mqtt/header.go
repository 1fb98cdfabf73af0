package mqtt

import (
	"github.com/eclipse/paho.golang/paho"

	"github.com/conchmq/conch/internal/connect"
)

// Properties of MQTT that are headers of conch's messages. They are called as those of other systems are, so that they survive the way
// from one to another.
const contentType, replyTo, correlation = "content-type", "reply-to", "correlation-id"

// readHeaders returns properties, then user properties in their order.
func readHeaders(p *paho.Publish) (headers []connect.Header) {
	if p.Properties == nil {
		return nil
	}
	add := func(name, value string) {
		if value != "" {
			headers = append(headers, connect.Header{Name: name, Value: value})
		}
	}
	add(contentType, p.Properties.ContentType)
	add(replyTo, p.Properties.ResponseTopic)
	add(correlation, string(p.Properties.CorrelationData))
	for _, u := range p.Properties.User {
		headers = append(headers, connect.Header{Name: u.Key, Value: u.Value})
	}
	return headers
}

// setHeaders gives a message its properties and user properties.
func setHeaders(p *paho.Publish, headers []connect.Header) {
	p.Properties = &paho.PublishProperties{}
	for _, h := range headers {
		switch {
		case len(h.Name) > maxText || len(h.Value) > maxText: // MQTT cannot write it
		case h.Name == contentType:
			p.Properties.ContentType = h.Value
		case h.Name == correlation:
			p.Properties.CorrelationData = []byte(h.Value)
		case h.Name == replyTo && validTopic(h.Value) == nil:
			p.Properties.ResponseTopic = h.Value
		default:
			p.Properties.User.Add(h.Name, h.Value)
		}
	}
}

// maxText is the length of a string of MQTT.
const maxText = 1<<16 - 1
