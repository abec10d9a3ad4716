package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"
)

type sealCmd struct {
	Recipients []string `name:"recipient" env:"BACKUP_RECIPIENT" sep:"," required:"" help:"age public keys."`
	Folder     string   `arg:""`
	File       string   `arg:""`
}

// Run writes the sealed file under another name first, so that File is whole
// whenever it exists.
func (c *sealCmd) Run() (err error) {
	var recipients []age.Recipient
	for _, key := range c.Recipients {
		recipient, err := age.ParseX25519Recipient(strings.TrimSpace(key))
		if err != nil {
			return fmt.Errorf("BACKUP_RECIPIENT holds no age public key (age1…): %w", err)
		}
		recipients = append(recipients, recipient)
	}
	partial := filepath.Join(filepath.Dir(c.File), ".partial-"+filepath.Base(c.File))
	out, err := os.OpenFile(partial, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(partial)
		}
	}()
	if err := errors.Join(seal(out, c.Folder, recipients), out.Sync(), out.Close()); err != nil {
		return err
	}
	return os.Rename(partial, c.File)
}

func seal(out io.Writer, folder string, recipients []age.Recipient) error {
	sealed, err := age.Encrypt(out, recipients...)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(sealed)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := add(archive, folder, entry.Name()); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), sealed.Close())
}

func add(archive *tar.Writer, folder, name string) error {
	file, err := os.Open(filepath.Join(folder, name))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: info.ModTime()}); err != nil {
		return err
	}
	_, err = io.Copy(archive, file)
	return err
}

type openCmd struct {
	Identity string `env:"BACKUP_IDENTITY_FILE" required:"" help:"File with the age identity (AGE-SECRET-KEY-…) of a recipient."`
	store    `embed:""`
	From     string `arg:""`
	Folder   string `arg:""`
}

// Run fails unless the whole file was opened: age authenticates its end.
func (c *openCmd) Run(ctx context.Context) error {
	file, err := os.Open(c.Identity)
	if err != nil {
		return fmt.Errorf("BACKUP_IDENTITY_FILE: %w", err)
	}
	identities, err := age.ParseIdentities(file)
	_ = file.Close()
	if err != nil {
		return fmt.Errorf("BACKUP_IDENTITY_FILE holds no age identity (AGE-SECRET-KEY-…): %w", err)
	}
	sealed, err := c.reader(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = sealed.Close() }()
	plain, err := age.Decrypt(sealed, identities...)
	if err != nil {
		return fmt.Errorf("open %s: %w", c.From, err)
	}
	return unpack(plain, c.Folder)
}

func (c *openCmd) reader(ctx context.Context) (io.ReadCloser, error) {
	if !strings.HasPrefix(c.From, "s3://") {
		return os.Open(c.From)
	}
	return c.get(ctx, c.From)
}

// unpack writes the files of a copy. The archive comes from outside: a name that
// leads elsewhere is refused.
func unpack(plain io.Reader, folder string) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	var names []string
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("the sealed copy is damaged: %w", err)
		}
		if header.Typeflag != tar.TypeReg || filepath.Base(header.Name) != header.Name || slices.Contains(names, header.Name) {
			return fmt.Errorf("%q does not belong in a copy: it was not made by make backup", header.Name)
		}
		names = append(names, header.Name)
		file, err := root.OpenFile(header.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, archive) // #nosec G110 -- a sealed copy of our own, as large as the system was
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
	// What follows the archive's end is read too, because the seal is checked to its end.
	_, err = io.Copy(io.Discard, plain)
	return err
}
