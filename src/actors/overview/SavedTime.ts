/** When a message was saved, as its id says it. */

/** Milliseconds from 1970 to where Snowflakes begin to count, 2025. */
const epochMs = Date.UTC(2025, 0, 1)

/** Bits of a Snowflake below its milliseconds: machine and sequence number. */
const lowBits = 22n

/**
 * When a message was made, in milliseconds since 1970, by the clock of the process that sent it. Effect's
 * `Snowflake.timestamp`, without loading Effect's cluster into every command.
 */
export const savedMsOf = (id: string): number => Number(BigInt(id) >> lowBits) + epochMs
