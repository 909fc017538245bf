/** Files and folders that a model, an adapter or data consist of, wherever they lie, and their digests. */
package io.safelora.artifacts;
