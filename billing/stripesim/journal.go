package stripesim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// journal is the state's file: one JSON line for every row as it changed, the
// last line of a row standing. It is written anew, by an atomic rename, when
// the simulator starts. A nil journal keeps nothing.
type journal struct {
	file *os.File
	size int64 // bytes known to be whole lines
}

type journalLine struct {
	Kind string          `json:"kind"`
	Row  json.RawMessage `json:"row"`
}

// touched names a row that changed since the journal was last written.
type touched struct{ kind, id string }

// openJournal loads the file into the state and starts a compacted one in its
// place. A line cut short by a crash can only be the last, and is left out.
func openJournal(path string, into *state) (*journal, error) {
	if err := loadJournal(path, into); err != nil {
		return nil, err
	}
	next, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return nil, fmt.Errorf("start the simulator's journal: %w", err)
	}
	j := &journal{file: next}
	var rows []touched
	for kind, t := range into.tables() {
		t.each(func(id string) { rows = append(rows, touched{kind, id}) })
	}
	if err = j.write(into, rows); err == nil {
		err = errors.Join(next.Sync(), os.Rename(next.Name(), path))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("rewrite the simulator's journal: %w", err), next.Close(), os.Remove(next.Name()))
	}
	return j, nil
}

func loadJournal(path string, into *state) error {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the simulator's journal: %w", err)
	}
	defer file.Close()
	tables := into.tables()
	lines := bufio.NewReader(file)
	for n := 1; ; n++ {
		text, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // what stands before it has no newline: cut short
		}
		if err != nil {
			return fmt.Errorf("read the simulator's journal: %w", err)
		}
		var line journalLine
		if err := json.Unmarshal(text, &line); err != nil {
			return fmt.Errorf("%s line %d: %w", path, n, err)
		}
		t := tables[line.Kind]
		if t == nil {
			return fmt.Errorf("%s line %d: unknown kind %q", path, n, line.Kind)
		}
		if err := t.load(line.Row); err != nil {
			return fmt.Errorf("%s line %d: %w", path, n, err)
		}
	}
}

// encode makes the lines of the given rows as they stand now.
func encode(from *state, rows []touched) ([]byte, error) {
	tables := from.tables()
	var out bytes.Buffer
	for _, r := range rows {
		raw, err := tables[r.kind].raw(r.id)
		if err != nil {
			return nil, err
		}
		if raw == nil {
			continue
		}
		line, err := json.Marshal(journalLine{r.kind, raw})
		if err != nil {
			return nil, err
		}
		out.Write(line)
		out.WriteByte('\n')
	}
	return out.Bytes(), nil
}

func (j *journal) write(from *state, rows []touched) error {
	lines, err := encode(from, rows)
	if err != nil {
		return err
	}
	return j.append(lines)
}

// append adds whole lines; after an error none of them stand.
func (j *journal) append(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	if _, err := j.file.Write(lines); err != nil {
		_, seekErr := j.file.Seek(j.size, io.SeekStart)
		return errors.Join(fmt.Errorf("write the simulator's journal: %w", err), j.file.Truncate(j.size), seekErr)
	}
	j.size += int64(len(lines))
	return nil
}

func (j *journal) close() error {
	if j == nil {
		return nil
	}
	return errors.Join(j.file.Sync(), j.file.Close())
}
