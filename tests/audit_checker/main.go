// Checks a log as its auditors do, with the libraries of Go's checksum database (golang.org/x/mod/sumdb), which share no line
// with Taskledger: the signature of the checkpoint, every tile against its root, every entry against its leaf, a proof of
// every event, and that an earlier checkpoint is the beginning of this one.
//
//	audit_checker <verifier key> <base URL of /audit> <file with an earlier checkpoint>
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(vkey, base, earlierFile string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	signed, err := get(base + "/checkpoint")
	if err != nil {
		return err
	}
	tree, err := open(signed, verifier)
	if err != nil {
		return err
	}
	tiles := &tiles{base: base}
	// It compares every tile with the root before it uses it.
	reader := tlog.TileHashReader(tree, tiles)
	for number := int64(0); number*256 < tree.N; number++ {
		width := tree.N - number*256
		if width > 256 {
			width = 256
		}
		if err := entries(base, reader, number, int(width)); err != nil {
			return err
		}
	}
	// Positions count from 1 in a SQL database.
	for position := int64(1); position <= tree.N; position++ {
		if err := proof(base, verifier, reader, position); err != nil {
			return fmt.Errorf("position %d: %w", position, err)
		}
	}
	earlier, err := os.ReadFile(earlierFile)
	if err != nil {
		return err
	}
	before, err := open(earlier, verifier)
	if err != nil {
		return err
	}
	if err := consistency(base, before, tree); err != nil {
		return err
	}
	fmt.Printf("%d events, %d tiles, %d proofs, consistent with the checkpoint of %d events\n", tree.N, tiles.read, tree.N, before.N)
	return nil
}

// open checks the signature of a checkpoint and reads it.
func open(text []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint of %s: %q", verifier.Name(), opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// entries compares a bundle of entries with the leaves.
func entries(base string, reader tlog.HashReader, number int64, width int) error {
	bundle, err := get(base + "/tile/entries/" + suffix(number, width))
	if err != nil {
		return err
	}
	for offset := 0; offset < width; offset++ {
		if len(bundle) < 2 {
			return errors.New("a bundle of entries is too short")
		}
		length := int(binary.BigEndian.Uint16(bundle))
		entry := bundle[2 : 2+length]
		bundle = bundle[2+length:]
		index := number*256 + int64(offset)
		leaf, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
		if err != nil {
			return err
		}
		if leaf[0] != tlog.RecordHash(entry) {
			return fmt.Errorf("entry %d is not the one of its leaf", index)
		}
	}
	if len(bundle) > 0 {
		return errors.New("a bundle of entries is too long")
	}
	return nil
}

// proof checks the proof of an event against the checkpoint in it.
func proof(base string, verifier note.Verifier, reader tlog.HashReader, position int64) error {
	text, err := get(fmt.Sprintf("%s/proof?position=%d", base, position))
	if err != nil {
		return err
	}
	head, checkpoint, found := bytes.Cut(text, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("not a proof: %q", text)
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	var path tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		path = append(path, hash)
	}
	tree, err := open(checkpoint, verifier)
	if err != nil {
		return err
	}
	leaf, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, position-1)})
	if err != nil {
		return err
	}
	return tlog.CheckRecord(path, tree.N, tree.Hash, index, leaf[0])
}

// consistency checks that the log only grew between two checkpoints.
func consistency(base string, before, after tlog.Tree) error {
	text, err := get(fmt.Sprintf("%s/consistency?from=%d&to=%d", base, before.N, after.N))
	if err != nil {
		return err
	}
	var answer struct{ Consistency []string }
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	var path tlog.TreeProof
	for _, text := range answer.Consistency {
		hash, err := tlog.ParseHash(text)
		if err != nil {
			return err
		}
		path = append(path, hash)
	}
	return tlog.CheckTree(path, after.N, after.Hash, before.N, before.Hash)
}

// tiles fetches tiles as C2SP tlog-tiles has them: the paths of Go's checksum database have the height in front.
type tiles struct {
	base string
	read int
}

func (t *tiles) Height() int { return height }

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		data, err := get(fmt.Sprintf("%s/tile/%d/%s", t.base, tile.L, suffix(tile.N, tile.W)))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
		t.read++
	}
	return found, nil
}

func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// suffix is a tile's path without its level.
func suffix(number int64, width int) string {
	path := fmt.Sprintf("%03d", number%1000)
	for number >= 1000 {
		number /= 1000
		path = fmt.Sprintf("x%03d/%s", number%1000, path)
	}
	if width < 1<<height {
		path = fmt.Sprintf("%s.p/%d", path, width)
	}
	return path
}

func get(url string) ([]byte, error) {
	response, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return body, nil
}

