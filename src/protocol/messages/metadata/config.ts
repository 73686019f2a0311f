import { type Infer, int8, message, string } from "../../schema.ts";

/** Kafka's ConfigRecord. */
export const configRecord = message(
  "ConfigRecord",
  { apiKey: 4, versions: "0", flexible: "0+" },
  {
    resourceType: int8(),
    resourceName: string(),
    name: string(),
    value: string({ nullable: true }),
  },
);

export type ConfigRecord = Infer<typeof configRecord>;
