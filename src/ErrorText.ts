/** What an error says, for messages and log lines. Anything may be thrown, so anything has a text. */
export const errorText = (error: unknown): string => error instanceof Error ? error.message : String(error)
