package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// parseKey reads a secret: any text, or whsec_ and the key in base64.
func parseKey(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	encoded, ok := strings.CutPrefix(text, "whsec_")
	if !ok {
		return []byte(text), nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) == 0 {
		return nil, errors.New("conch-secret: behind whsec_ stands the key in base64")
	}
	return key, nil
}

// sign sets the headers of Standard Webhooks. The id is the same each time a message comes.
func (s *sink) sign(header http.Header, id string, body []byte) {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	header.Set("Webhook-Id", id)
	header.Set("Webhook-Timestamp", now)
	if s.key != nil {
		header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(signature(s.key, id, now, body)))
	}
}

// signature is the HMAC-SHA256 of id, time and body.
func signature(key []byte, id, now string, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(mac, "%s.%s.", id, now) // a hash takes all
	_, _ = mac.Write(body)
	return mac.Sum(nil)
}
