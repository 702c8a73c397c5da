package billing

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/jpeg"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hugePNG is a picture of 4096 × 4096 pixels of eight bytes, all of them nothing:
// 128 MiB in less than an upload may have.
func hugePNG(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	out.WriteString("\x89PNG\r\n\x1a\n")
	chunk := func(kind string, data []byte) {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(data)))
		out.Write(size[:])
		body := append([]byte(kind), data...)
		out.Write(body)
		binary.BigEndian.PutUint32(size[:], crc32.ChecksumIEEE(body))
		out.Write(size[:])
	}
	chunk("IHDR", []byte{0, 0, 16, 0, 0, 0, 16, 0, 16, 6, 0, 0, 0}) // 16 bits a channel, with alpha
	var packed bytes.Buffer
	w, err := zlib.NewWriterLevel(&packed, zlib.BestSpeed)
	require.NoError(t, err)
	row := make([]byte, 1+4096*8)
	for range 4096 {
		_, err = w.Write(row)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	chunk("IDAT", packed.Bytes())
	chunk("IEND", nil)
	return out.Bytes()
}

// Pictures that unpack to as much as may be are read one after another, and what
// one took is given back before the next.
//
//nolint:paralleltest // it measures the memory of the whole process
func TestPicturesAreUnpackedOneByOne(t *testing.T) {
	bomb := hugePNG(t)
	require.Less(t, len(bomb), MaxLogo)
	s := &Service{unpacking: make(chan struct{}, 1)}
	live := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	heap := func() uint64 {
		metrics.Read(live)
		return live[0].Value.Uint64()
	}
	before, peak := heap(), uint64(0)
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
				peak = max(peak, heap())
			}
		}
	}()
	var uploads sync.WaitGroup
	for range 2 {
		uploads.Go(func() {
			if _, err := s.makePicture(t.Context(), bomb, asLogo); err != nil {
				t.Error(err)
			}
		})
	}
	uploads.Wait()
	close(done)
	<-watched
	require.Greater(t, peak, before+100<<20, "it was unpacked")
	require.Less(t, peak, before+220<<20, "and not twice at once")
}

// A JPEG in passes takes several times what its pixels do: its head is enough to
// refuse it.
func TestAPictureThatTakesTooMuchIsRefused(t *testing.T) {
	t.Parallel()
	var small bytes.Buffer
	require.NoError(t, jpeg.Encode(&small, image.NewRGBA(image.Rect(0, 0, 16, 16)), nil))
	huge := small.Bytes()
	at := bytes.Index(huge, []byte{0xff, 0xc0}) // the frame: its length, its depth, then height and width
	require.Positive(t, at)
	copy(huge[at+5:], []byte{16, 0, 16, 0})
	_, err := newPicture(huge, asLogo)
	require.ErrorContains(t, err, "damaged", "in one pass it is read as far as it goes")
	huge[at+1] = 0xc2
	_, err = newPicture(huge, asLogo)
	require.ErrorContains(t, err, "too much memory")
}
