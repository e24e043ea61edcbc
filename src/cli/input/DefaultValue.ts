/** Flags that have a value when they are not given, which their help says. */
import type { Config } from "effect"
import { Flag } from "effect/cli"

/** `description; default VALUE`. `shown` is how a person writes the value. */
export const withDefault = <A>(
  description: string,
  value: A,
  shown = String(value)
): (flag: Flag.Flag<A>) => Flag.Flag<A> =>
(flag) => flag.pipe(Flag.withDescription(`${description}; default ${shown}`), Flag.withDefault(value))

/** Like {@link withDefault} for a flag that a variable gives a value too; the flag wins. */
export const withVariable = <A>(
  description: string,
  variable: { readonly name: string; readonly config: (name: string) => Config.Config<A> },
  value: A,
  shown = String(value)
): (flag: Flag.Flag<A>) => Flag.Flag<A> =>
(flag) =>
  flag.pipe(
    Flag.withDescription(`${description}; default ${shown} (${variable.name})`),
    Flag.withFallbackConfig(variable.config(variable.name)),
    Flag.withDefault(value)
  )
