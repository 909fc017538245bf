/** The safetensors format: element types, headers, reading by ranges, writing tensor by tensor. */
package io.safelora.artifacts.safetensors;
