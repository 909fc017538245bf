package io.safelora.artifacts.store;

import io.safelora.artifacts.InvalidArtifactException;

/** Names from S3 keys and manifests become paths of this machine: they must not leave the folder they are put into. */
final class Names {
    private Names() {}

    /**
     * @throws InvalidArtifactException if {@code name} is absolute, has {@code ..}, or characters that no file should
     * have
     */
    static void check(String where, String name) {
        if (!isSafe(name)) {
            throw new InvalidArtifactException(
                    where + ": the file name \"" + (name == null ? "" : name.replaceAll("\\p{Cntrl}", "?"))
                            + "\" is refused; relative paths without . and .. are allowed");
        }
    }

    /**
     * A file name of this machine for the last part of an S3 key, which may have characters that some file systems
     * refuse.
     */
    static String local(String part) {
        return part.replaceAll("[\\\\:*?\"<>|\\p{Cntrl}]", "_");
    }

    static boolean isSafe(String name) {
        if (name == null || name.isEmpty() || name.length() > 1000 || name.matches("(?s).*[\\\\:\\p{Cntrl}].*")) {
            return false;
        }
        for (String part : name.split("/", -1)) {
            if (part.isEmpty() || part.equals(".") || part.equals("..")) {
                return false;
            }
        }
        return true;
    }
}
