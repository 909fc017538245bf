package io.safelora.artifacts.store;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;

/**
 * Reads of one remote object, each as several ranges in flight; and, for a reader that goes through a region in parts
 * of one size, the next part while it works on this one. Memory is one part per such reader, whatever the object's
 * size. Safe for use by many threads.
 */
final class Ranges {
    private static final int RANGE = 4 << 20;
    /** How often a range is asked for when its answer is cut short. */
    private static final int ATTEMPTS = 4;
    /** More readers at once lose what was fetched ahead for the first of them, and fetch it again. */
    private static final int READERS = 64;

    /** Fills a buffer from an offset on, by one request. */
    interface Fetch {
        void fetch(long offset, ByteBuffer into) throws IOException;
    }

    private final ExecutorService threads;
    private final Fetch fetch;
    private final Map<Long, Ahead> ahead = new LinkedHashMap<>();

    private record Ahead(ByteBuffer bytes, List<Future<?>> ranges) {}

    Ranges(ExecutorService threads, Fetch fetch) {
        this.threads = threads;
        this.fetch = fetch;
    }

    /** @param end where the reader, who reads on by parts of this size, will stop */
    void read(long offset, ByteBuffer into, long end) throws IOException {
        int size = into.remaining();
        if (size == 0) {
            return;
        }
        Ahead fetched = take(offset, size);
        List<Future<?>> ranges = fetched == null ? start(offset, into) : fetched.ranges();
        // This part's ranges are first in the queue.
        long next = offset + size;
        if (next < end) {
            ByteBuffer bytes = ByteBuffer.allocateDirect((int) Math.min(size, end - next));
            put(next, new Ahead(bytes, start(next, bytes)));
        }
        await(ranges);
        if (fetched != null) {
            into.put(fetched.bytes());
        } else {
            into.position(into.limit());
        }
    }

    private synchronized Ahead take(long offset, int size) {
        Ahead fetched = ahead.remove(offset);
        return fetched == null || fetched.bytes().remaining() != size ? null : fetched;
    }

    private synchronized void put(long offset, Ahead fetched) {
        ahead.put(offset, fetched);
        if (ahead.size() > READERS) {
            ahead.remove(ahead.keySet().iterator().next());
        }
    }

    private List<Future<?>> start(long offset, ByteBuffer into) {
        List<Future<?>> ranges = new ArrayList<>();
        for (int done = 0; done < into.remaining(); done += RANGE) {
            ByteBuffer part = into.slice(into.position() + done, Math.min(RANGE, into.remaining() - done));
            long at = offset + done;
            ranges.add(threads.submit(() -> {
                fetch(at, part);
                return null;
            }));
        }
        return ranges;
    }

    private void fetch(long offset, ByteBuffer into) throws IOException {
        for (int attempt = 1; ; attempt++) {
            try {
                // What came before the answer was cut short need not come again.
                fetch.fetch(offset + into.position(), into);
                return;
            } catch (IOException e) {
                if (attempt == ATTEMPTS || Thread.currentThread().isInterrupted()) {
                    throw e;
                }
            }
        }
    }

    private static void await(List<Future<?>> ranges) throws IOException {
        try {
            for (Future<?> range : ranges) {
                range.get();
            }
        } catch (ExecutionException e) {
            if (e.getCause() instanceof IOException cause) {
                throw cause;
            }
            if (e.getCause() instanceof RuntimeException cause) {
                throw cause;
            }
            throw new IOException(e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while S3 was read");
        }
    }
}
