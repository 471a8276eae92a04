package postgres

import (
	"context"

	"telltale.example/telltale"
)

func (s *Store) CreateOperator(ctx context.Context, o telltale.Operator, link [32]byte) error {
	panic("not written")
}

func (s *Store) Operator(ctx context.Context, id telltale.OperatorID) (telltale.Operator, error) {
	panic("not written")
}

func (s *Store) OperatorByEmail(ctx context.Context, email string) (telltale.Operator, error) {
	panic("not written")
}

func (s *Store) Operators(ctx context.Context) ([]telltale.Operator, error) { panic("not written") }

func (s *Store) UpdateOperator(ctx context.Context, o telltale.Operator) error { panic("not written") }

func (s *Store) SetPassword(ctx context.Context, id telltale.OperatorID, hash string, link, keep [32]byte) error {
	panic("not written")
}

func (s *Store) NoteLogin(ctx context.Context, id telltale.OperatorID) error { panic("not written") }

func (s *Store) CreateLink(ctx context.Context, l telltale.Link) error { panic("not written") }

func (s *Store) Link(ctx context.Context, hash [32]byte) (telltale.Link, error) { panic("not written") }

func (s *Store) SaveSession(ctx context.Context, session telltale.Session, passwordHash string) error {
	panic("not written")
}

func (s *Store) TouchSession(ctx context.Context, hash [32]byte, remoteAddr string) error {
	panic("not written")
}

func (s *Store) Session(ctx context.Context, hash [32]byte) (telltale.Session, error) {
	panic("not written")
}

func (s *Store) Sessions(ctx context.Context, id telltale.OperatorID) ([]telltale.Session, error) {
	panic("not written")
}

func (s *Store) EndSession(ctx context.Context, hash [32]byte) error { panic("not written") }

func (s *Store) EndSessions(ctx context.Context, id telltale.OperatorID, keep [32]byte) error {
	panic("not written")
}
