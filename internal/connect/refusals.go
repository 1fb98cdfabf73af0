package connect

import "slices"

// Refusals collects the messages of one Write that the other system will never take.
type Refusals struct{ refused Refused }

// Add notes the message at an index. The first error is the one that is reported.
func (r *Refusals) Add(index int, err error) {
	r.refused.Indices = append(r.refused.Indices, index)
	if r.refused.Err == nil {
		r.refused.Err = err
	}
}

// Err is a *Refused, or nil if all was taken. Indices are ascending.
func (r *Refusals) Err() error {
	if r.refused.Err == nil {
		return nil
	}
	slices.Sort(r.refused.Indices)
	return &r.refused
}
