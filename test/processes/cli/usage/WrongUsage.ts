/** Wrong usage by verb, each with what the refusal says and the variables that are set. The tables beside hold it. */

export type Wrong = readonly [args: ReadonlyArray<string>, says: RegExp, env?: Readonly<Record<string, string>>]

export type WrongUsage = Readonly<Record<string, ReadonlyArray<Wrong>>>

export const longKey = "k".repeat(4097)
export const twoVoters = "1=127.0.0.1:1:2:3,2=127.0.0.1:4:5:6"
export const sameIds = "1=a:1:2:3,2=a:4:5:6,2=a:7:8:9"
