package store

import "github.com/conchmq/conch/internal/stream"

// Setting is a value for a setting that is state, in the form of stream.Setting.Value.
type Setting struct{ Name, Text string }

// Overruled is a setting of Options that is not in force, because the state was given another value before.
type Overruled struct{ Name, Given, InForce string }

// setSettings gives the state each setting of Options that it was never given, in one record. Else the state stays as it is:
// streams have followed its value, and CONFIG SET has changed it, perhaps. The core does not run yet.
func (s *Store) setSettings() {
	var payload []byte
	for _, given := range s.options.Settings {
		setting := stream.FindSetting(given.Name)
		if setting.IsGiven(s.streams) {
			if inForce := setting.Value(s.streams); inForce != given.Text {
				s.overruled = append(s.overruled, Overruled{given.Name, given.Text, inForce})
			}
			continue
		}
		c := &stream.Change{Time: s.clock.Now(), Sequence: s.sequence}
		setting.Plan(s.streams, c, given.Text)
		if payload == nil {
			payload = stream.BeginRecord(nil, c.Sequence, c.Time)
		}
		payload = stream.AppendChange(payload, c)
		s.streams.Apply(c)
	}
	if payload != nil {
		s.Append(payload)
	}
}

// Overruled are the settings of Options that are not in force. CONFIG SET puts them in force.
func (s *Store) Overruled() []Overruled { return s.overruled }
