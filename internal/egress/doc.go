// Package egress decides which addresses Telltale dials, and dials them. Webhook
// URLs come from people who may not see the network that the server stands in;
// without a guard every webhook, Test button and certificate fetch would be a
// way into it.
//
// One [Guard], made from the administrator's [Config], stands before every
// outbound client and speaks three times:
//
//	save   [Guard.CheckURL]     the URL's form; the address too, if the host is one
//	send   [Guard.Admit]        the same, and the context learns which URL is dialled for
//	       [Guard.DialContext]  resolves the name once, refuses it if any answer is
//	                            blocked, dials the very addresses that it checked
//	       (its socket check)   the address that the kernel is about to connect to
//
// A name is resolved at send only, because what it resolves to changes; to
// resolve it twice would be to check one address and dial another.
//
// # Which rule wins
//
// Of an address, and of each IPv4 address that it disguises, the first that
// applies:
//
//	always blocked   169.254.0.0/16 and fd00:ec2::254, where clouds give away credentials
//	deny list        Config.DenyCIDRs
//	inspector        Config.Exempt: our own address, exact origin, below /in/
//	allow list       Config.AllowCIDRs
//	AllowPrivate     loopback, private and shared networks
//	the table        whatever is not a public unicast address; see address.go
//
// An exempt or listed address, and with AllowPrivate every address, is also
// free of three rules about URLs: https only, a port of the list, and a host
// that is no private name such as localhost. Under an allow list those rules
// wait, for a name, until it is resolved.
//
// # How it fails
//
// What cannot be read is blocked. A [*URLError] says which rule a URL breaks, in
// a sentence for the person who typed it. A [*BlockedError] says of a name only
// that it is not allowed: where it leads is for the server's log
// ([BlockedError.Detail]), or else webhooks would be a map of the network.
package egress
