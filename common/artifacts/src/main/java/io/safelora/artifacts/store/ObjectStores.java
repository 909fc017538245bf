package io.safelora.artifacts.store;

/** Which store a URI's objects lie in. */
final class ObjectStores implements AutoCloseable {
    private final boolean filesAllowed;
    private final ObjectStore files = new FileObjects();
    private final ObjectStore s3;

    ObjectStores(StoreSettings settings, long uploadPart) {
        filesAllowed = settings.filesAllowed();
        s3 = new S3Objects(settings, uploadPart);
    }

    /**
     * @throws io.safelora.artifacts.InvalidArtifactException if it is not the URI of a store, or files are not allowed
     */
    ArtifactUri parse(String uri) {
        return ArtifactUri.parse(uri, filesAllowed);
    }

    ObjectStore of(ArtifactUri at) {
        return at.isFile() ? files : s3;
    }

    @Override
    public void close() {
        files.close();
        s3.close();
    }
}
