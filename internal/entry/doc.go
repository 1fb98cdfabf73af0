// Package entry defines what an entry of a stream is as a message: to subscribers, to predicates, over HTTP.
//
// The first field named message is the message; all other fields are its headers. An entry without such a field is the
// JSON object of its fields, in their order, and has no headers:
//
//   - A value that is a number of JSON is written as it is, if a float64 can hold it and it has at most 800 bytes. Any other
//     UTF-8 is a string.
//   - Bytes that are no UTF-8 are in base64, in a member NAME_base64. Those of a name are written as \xNN.
//   - Values with one member are an array, at the place of the first. So no member comes twice, also if the field
//     a_base64 stands beside a field a that is no UTF-8.
//
// The package is pure. What it makes is bounded by the entry: a JSON object has at most six bytes for one of a field.
package entry
