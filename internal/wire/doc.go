// Package wire has the JSON forms of the nouns: what the API answers and takes,
// and what its client reads and writes. Both sides use the same structs, so that
// they cannot drift apart.
//
// # What is read
//
// A From function makes each form of its noun; none of them copies a secret.
// Secret values read "[redacted]"; a webhook's signing secret and a key's token
// are set by the API where they are shown once. Times are RFC 3339 in UTC with
// milliseconds ([Time]), waits Go durations such as "5s" ([Duration]). What has
// no value is left out, as in payloads: there is no null but in a [Page].
//
// # What is written
//
// Creating and changing take the same settings. In both, a member that is absent
// keeps what is there (the default, when creating), and null goes back to the
// default: JSON Merge Patch (RFC 7396), for which a [Change] tells the two apart.
// Objects merge member by member, so that changing one custom header leaves the
// others. What was read may be sent back: "[redacted]" keeps the secret value
// that it stands for.
//
// The struct tags beyond json document the API; the package that serves it
// reads them.
package wire
