package io.safelora.artifacts.store;

import io.safelora.artifacts.InvalidArtifactException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Where an artifact lies.
 *
 * @param bucket null for a file of this machine
 * @param key the S3 key, without a slash at either end
 * @param path null for an object in S3
 */
record ArtifactUri(String text, String bucket, String key, Path path) {

    private static final int MAX_KEY_BYTES = 1024;

    static ArtifactUri parse(String text, boolean filesAllowed) {
        if (text != null && text.startsWith("s3://")) {
            String rest = text.substring(5).replaceAll("/+$", "");
            int slash = rest.indexOf('/');
            String bucket = slash < 0 ? rest : rest.substring(0, slash);
            String key = slash < 0 ? "" : rest.substring(slash + 1);
            if (!bucket.matches("[a-z0-9][a-z0-9.-]{1,62}") || !isKey(key)) {
                throw new InvalidArtifactException(shown(text)
                        + ": is not an s3://bucket/key URI; a bucket is 3 to 63 of a-z 0-9 . -, a "
                        + "key up to 1024 bytes without control characters and without . and .. "
                        + "between slashes");
            }
            return new ArtifactUri(text, bucket, key, null);
        }
        if (text != null && text.startsWith("file:")) {
            if (!filesAllowed) {
                throw new InvalidArtifactException(
                        shown(text) + ": this service reads no local files; put it into S3 and give its s3:// URI");
            }
            try {
                return new ArtifactUri(text, null, null, Path.of(URI.create(text)));
            } catch (IllegalArgumentException e) {
                throw new InvalidArtifactException(
                        shown(text) + ": is not a file: URI; write file:///absolute/path, with %20 for a space", e);
            }
        }
        throw new InvalidArtifactException(
                (text == null ? "no URI" : shown(text)) + ": is neither an s3:// nor a file: URI");
    }

    /** Any key that S3 takes, as it is, without escapes; but for what would mean something else as a path. */
    private static boolean isKey(String key) {
        return key.getBytes(StandardCharsets.UTF_8).length <= MAX_KEY_BYTES
                && key.codePoints().noneMatch(Character::isISOControl)
                && Arrays.stream(key.split("/")).noneMatch(part -> part.equals(".") || part.equals(".."));
    }

    boolean isFile() {
        return path != null;
    }

    ArtifactUri resolve(String name) {
        Names.check(text, name);
        String child = text.replaceAll("/+$", "") + "/" + name;
        return isFile()
                ? new ArtifactUri(path.resolve(name).toUri().toString(), null, null, path.resolve(name))
                : new ArtifactUri(child, bucket, key.isEmpty() ? name : key + "/" + name, null);
    }

    private static String shown(String text) {
        String line = text.replaceAll("\\p{Cntrl}", "?");
        return line.length() > 300 ? line.substring(0, 300) + "..." : line;
    }

    @Override
    public String toString() {
        return text;
    }
}
