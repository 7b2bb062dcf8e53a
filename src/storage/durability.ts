/** Who has what was written: the master alone, since there is no replica or it is not waited for, or a replica too. */
export type Durability = "master" | "replica";
