/** The third service: trains or adopts the adapter, and repairs it. */
package io.safelora.trainer;
