// Package telltale is the domain of Telltale, a self-hosted reporting-webhooks
// server: the nouns, the rules that need nothing but the nouns, and what we ask
// of storage.
//
// # The way of the data
//
// In: a request reaches a source ([Activity]: what the source told us,
// normalised, not yet stored), is validated and rendered once to its payload,
// and accepted: [EventStore.AcceptEvents] stores, in one transaction, the
// [Event] and one [Delivery] per enabled [Webhook] that wants it. Only after the
// commit is the caller answered.
//
// Out: deliveries are born claimed as far as the dispatcher has room, and
// claimed later as far as it has not ([Claim]). A lane per webhook waits for a
// free slot, the sender makes one signed request ([Attempt]), [Claim.After]
// decides what becomes of the delivery, and [DeliveryStore.RecordAttempts]
// records the attempt and the decision in one transaction.
//
// Accept, decide, send, record: four verbs, four places. Tests and replays join
// the same way at the store; there is no second way to send.
//
// # Words
//
// A project owns webhooks, keys and events. A webhook is a subscription; the
// receiver is the customer's server behind its URL. An activity becomes an
// event when it is stored; a message is the email, SMS or push that it is
// about, a user the recipient. A delivery is one event owed to one webhook, an
// attempt one HTTP request for it, the retry schedule the waits between
// attempts. Beware: the event type "delivered" (an email arrived) is not a
// delivery, and so a delivery ends as succeeded.
package telltale
