package io.safelora.evaluation.judge;

import java.io.IOException;

/**
 * A judge's endpoint cannot be asked now: it is down, too busy, or does not answer as one. The message names judge and
 * URL.
 */
public class JudgeUnavailableException extends IOException {
    JudgeUnavailableException(String message) {
        super(message);
    }
}
