// Package signature signs and verifies webhook requests the way
// [Standard Webhooks] does, with nothing but the standard library.
//
// A receiver reads the raw body first, verifies, and only then parses:
//
//	secret, err := signature.ParseSecret(os.Getenv("WEBHOOK_SECRET")) // whsec_…, from the webhook's page
//	if err != nil {
//		log.Fatal(err)
//	}
//	verifier := signature.NewVerifier(secret) // while a secret is rotated: both, in any order
//
//	http.HandleFunc("POST /webhooks", func(w http.ResponseWriter, r *http.Request) {
//		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
//		if err != nil {
//			http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
//			return
//		}
//		if err := verifier.Verify(r.Header, body, time.Now()); err != nil {
//			log.Print(err) // says which header, how far off the clock, and so on
//			http.Error(w, "the signature is not valid", http.StatusUnauthorized)
//			return
//		}
//		// body is what the sender sent. The header webhook-id is the same on
//		// every attempt and replay: keep it to recognise what you had already.
//		w.WriteHeader(http.StatusNoContent)
//	})
//
// What is signed is webhook-id, webhook-timestamp and the body as it came over
// the wire. A body that was parsed and written again has other bytes and does
// not verify. [Verifier.Verify] fails with an [*Error] whose Reason tells every
// kind of failure apart; [Explain] spends more effort and also finds a body that
// was laid out anew, or a secret that was rotated away.
//
// A sender prepares one [Signer] per set of secrets and uses it for every
// request. [LegacySigner] and [VerifyLegacy] are the older scheme X-Signature,
// for receivers that have it already: it signs the body alone, so whoever
// catches one request can send it again for ever.
//
// [Standard Webhooks]: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
package signature
