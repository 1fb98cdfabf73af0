package conchtest_test

import (
	"testing"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/conchtest"
)

// Each test has a server of its own, which ends with the test.
func ExampleStart() {
	var t *testing.T // of the test

	s := conchtest.Start(t)
	c, err := client.DialURL(t.Context(), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Publish(t.Context(), "orders", []byte(`{"price": 120}`)); err != nil {
		t.Error(err)
	}
}
