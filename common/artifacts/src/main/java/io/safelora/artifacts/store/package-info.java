/**
 * The artifact store: objects in files or S3 ({@code ObjectStore}), and above them results under content addresses,
 * downloads, and what users bring. {@link io.safelora.artifacts.store.ArtifactStore} is what stages use.
 */
package io.safelora.artifacts.store;
