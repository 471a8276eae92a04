package wire

import (
	"strings"

	"telltale.example/telltale"
)

// Import is an import as it is read.
type Import struct {
	ID          string `json:"id" example:"imp_01JD0000000000000000000000"`
	Kind        string `json:"kind" enum:"profiles,events,unsubscribes" example:"profiles"`
	Name        string `json:"name,omitempty" doc:"Of the file." example:"users.csv"`
	Conversions bool   `json:"conversions" doc:"Whether events may convert messages."`
	State       string `json:"state" enum:"running,paused,finished,failed,cancelled" doc:"finished: the whole file was read. failed: it cannot be read on; what went in stays." example:"running"`
	Bytes       int64  `json:"bytes" doc:"Of the file." example:"48000000"`
	Read        int64  `json:"read" doc:"Bytes of it that were read." example:"12000000"`
	Rows        int    `json:"rows" doc:"Rows that were read, without the head." example:"250000"`
	Applied     int    `json:"applied" doc:"Rows that went in." example:"249998"`
	Refused     int    `json:"refused" doc:"Rows that did not." example:"2"`
	Failure     string `json:"failure,omitempty" doc:"Why it failed, as a sentence."`
	CreatedBy   string `json:"created_by" example:"CI"`
	CreatedAt   Time   `json:"created_at" format:"date-time" example:"2026-11-20T09:30:00.000Z"`
	CompletedAt Time   `json:"completed_at,omitzero" format:"date-time" doc:"When it finished, failed or was cancelled." example:"2026-11-20T09:37:00.000Z"`
}

// FromImport gives the JSON form.
func FromImport(i telltale.Import) Import {
	return Import{
		ID: string(i.ID), Kind: string(i.Kind), Name: i.Name, Conversions: i.Conversions, State: string(i.State), Bytes: i.Bytes, Read: i.Place,
		Rows: i.Rows, Applied: i.Applied, Refused: i.Refused, Failure: i.Failure,
		CreatedBy: i.CreatedBy, CreatedAt: Time{i.CreatedAt}, CompletedAt: Time{i.CompletedAt},
	}
}

// RefusedRow is a row that did not go in.
type RefusedRow struct {
	Line   int    `json:"line" doc:"On which the row begins, from 1." example:"4711"`
	Reason string `json:"reason" doc:"What is wrong, in which column, and what would be right." example:"The row has 3 fields and the head 4."`
	Row    string `json:"row" doc:"As it stands in the file, at most 4 KiB of it. Bytes that are not UTF-8 are replaced." example:"7,gold,2026"`
}

// RefusedRows is a part of the refused rows of an import, in their order.
type RefusedRows struct {
	Data []RefusedRow `json:"data" nullable:"false"`
	Next *int         `json:"next" doc:"Send it as after for those that follow. Null at the end."`
}

// FromRefusedRows gives the JSON form. more says that there may be others behind them.
func FromRefusedRows(rows []telltale.RefusedRow, more bool) RefusedRows {
	out := RefusedRows{Data: []RefusedRow{}}
	for _, r := range rows {
		out.Data = append(out.Data, RefusedRow{Line: r.Line, Reason: r.Reason, Row: strings.ToValidUTF8(string(r.Row), "\uFFFD")})
	}
	if more && len(rows) > 0 {
		out.Next = &rows[len(rows)-1].Line
	}
	return out
}
