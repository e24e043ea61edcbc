/** Flags that are given or not. */
import { Flag } from "effect/cli"

/**
 * `--NAME`, or `--NAME=false` and `--no-NAME`. `Flag.Boolean` by itself takes the next word for its value when that
 * reads like yes or no, so a key named `1` would be lost (findings/effect-cli-boolean-takes-word.sh).
 */
export const makeSwitch = (name: string) => Flag.Boolean(name).pipe(Flag.withOptionalValue("true"))
