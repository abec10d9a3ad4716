package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// ours matches the names that make backup gives; prune touches no other.
var ours = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{6}Z\.tar\.age$`)

// partSize bounds the memory of an upload; S3 takes 10,000 parts, so 160 GB.
const partSize = 16 << 20

// store says where S3 is. Credentials come from where the AWS tools look:
// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_SHARED_CREDENTIALS_FILE, or
// the role of the machine.
type store struct {
	Endpoint string `env:"BACKUP_S3_ENDPOINT" default:"https://s3.amazonaws.com" help:"Address of the S3 service."`
	Region   string `env:"BACKUP_S3_REGION" help:"Region of the bucket, where the service needs it."`
}

func (s store) client() (*minio.Client, error) {
	endpoint, err := url.Parse(s.Endpoint)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "https" && endpoint.Scheme != "http" {
		return nil, fmt.Errorf("BACKUP_S3_ENDPOINT is %q: set an address such as https://s3.eu-central-1.amazonaws.com", s.Endpoint)
	}
	return minio.New(endpoint.Host, &minio.Options{
		Secure: endpoint.Scheme == "https",
		Region: s.Region,
		Creds:  credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{}}),
	})
}

// parseAddress splits s3://bucket/prefix.
func parseAddress(address string) (bucket, key string, err error) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "s3" || parsed.Host == "" {
		return "", "", fmt.Errorf("%q is no address in S3: write s3://bucket/prefix", address)
	}
	return parsed.Host, strings.Trim(parsed.Path, "/"), nil
}

// get reads one copy; .tar.age may be left out.
func (s store) get(ctx context.Context, address string) (io.ReadCloser, error) {
	bucket, key, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(key, ".tar.age") {
		key += ".tar.age"
	}
	object, err := client.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, err
	}
	if _, err := object.Stat(); err != nil {
		return nil, fmt.Errorf("s3://%s/%s: %w", bucket, key, err)
	}
	return object, nil
}

// remote is the place in S3 that BACKUP_URL names.
type remote struct {
	store `embed:""`
	URL   string `env:"BACKUP_URL" required:"" help:"s3://bucket/prefix"`
}

// names lists the copies there, oldest first, by their keys.
func (r remote) names(ctx context.Context) (client *minio.Client, bucket string, keys []string, err error) {
	bucket, prefix, err := parseAddress(r.URL)
	if err != nil {
		return nil, "", nil, err
	}
	client, err = r.client()
	if err != nil {
		return nil, "", nil, err
	}
	if prefix != "" {
		prefix += "/"
	}
	for object := range client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: prefix}) {
		if object.Err != nil {
			return nil, "", nil, fmt.Errorf("list %s: %w", r.URL, object.Err)
		}
		if ours.MatchString(path.Base(object.Key)) {
			keys = append(keys, object.Key)
		}
	}
	slices.Sort(keys)
	return client, bucket, keys, nil
}

type putCmd struct {
	remote `embed:""`
	File   string `arg:""`
}

// Run uploads the file. An object appears in S3 only when all of it has arrived,
// and the service checks the MD5 of each part.
func (c *putCmd) Run(ctx context.Context) error {
	if !ours.MatchString(filepath.Base(c.File)) {
		return fmt.Errorf("%s is not a sealed copy of make backup: nothing was uploaded", c.File)
	}
	bucket, prefix, err := parseAddress(c.URL)
	if err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	file, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	key := path.Join(prefix, filepath.Base(c.File))
	sent, err := client.PutObject(ctx, bucket, key, file, info.Size(), minio.PutObjectOptions{
		ContentType: "application/octet-stream", PartSize: partSize, NumThreads: 1, SendContentMd5: true,
	})
	if err != nil {
		return fmt.Errorf("upload to %s: %w", c.URL, err)
	}
	stored, err := client.StatObject(ctx, bucket, key, minio.StatObjectOptions{})
	if err != nil {
		return fmt.Errorf("check the upload: %w", err)
	}
	if stored.Size != info.Size() || stored.ETag != sent.ETag {
		return fmt.Errorf("s3://%s/%s holds %d bytes, not the %d that were sent: run make backup again", bucket, key, stored.Size, info.Size())
	}
	fmt.Printf("s3://%s/%s\n", bucket, key)
	return nil
}

type lastCmd struct {
	remote `embed:""`
}

func (c *lastCmd) Run(ctx context.Context) error {
	_, bucket, keys, err := c.names(ctx)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return fmt.Errorf("%s holds no copy: run make backup", c.URL)
	}
	fmt.Printf("s3://%s/%s\n", bucket, keys[len(keys)-1])
	return nil
}

type pruneCmd struct {
	remote `embed:""`
	Keep   int `env:"BACKUP_KEEP" default:"14" help:"Copies that stay, the newest (${default})."`
}

func (c *pruneCmd) Run(ctx context.Context) error {
	if c.Keep < 1 {
		return errors.New("BACKUP_KEEP is below 1: the newest copy always stays")
	}
	client, bucket, keys, err := c.names(ctx)
	if err != nil {
		return err
	}
	for _, key := range keys[:max(0, len(keys)-c.Keep)] {
		if err := client.RemoveObject(ctx, bucket, key, minio.RemoveObjectOptions{}); err != nil {
			return fmt.Errorf("remove s3://%s/%s: %w", bucket, key, err)
		}
	}
	return nil
}
