package io.safelora.artifacts.store;

/**
 * An object below a URI.
 *
 * @param size in bytes
 */
public record Listed(String uri, long size) {}
