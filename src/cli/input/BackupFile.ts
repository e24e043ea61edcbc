/** The file of a backup, as an argument. */
import { Argument } from "effect/cli"

export const fileArgument = Argument.String("file").pipe(Argument.withDescription("the backup file"))
