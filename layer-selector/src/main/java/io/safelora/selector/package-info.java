/** The second service: decides which modules get LoRA, and which are repaired. */
package io.safelora.selector;
