/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * idtree.h - objects by a number of 16 bits that a guest chose: found, added and
 * removed in at most 17 steps, whatever numbers it chooses.
 *
 * Owns: the links between nodes, which lie in the objects. A node's subtree holds
 * the numbers that share with it as many leading bits as it is deep.
 * Called by: its.c, gic_lpi.c; the host unit tests.
 * Concurrency: the caller's.
 */
#ifndef DRIVER_MODELS_IDTREE_H
#define DRIVER_MODELS_IDTREE_H

#include "model.h"

#define IDTREE_IDS 0x10000u

struct idtree_node {
	u32 id;			/* below IDTREE_IDS */
	struct idtree_node *child[2];
};

struct idtree {
	struct idtree_node *root;
};

/* The object that a found node lies in, or NULL. */
#define idtree_entry(node, type, member)						\
	({										\
		struct idtree_node *node_ = (node);					\
		node_ ? (type *)((char *)node_ - offsetof(type, member)) : NULL;	\
	})

struct idtree_node *idtree_find(const struct idtree *t, u32 id);
/* The lowest number that is `id` or more, or NULL. */
struct idtree_node *idtree_next(const struct idtree *t, u32 id);
/* node->id is set, and not in the tree. */
void idtree_add(struct idtree *t, struct idtree_node *node);
void idtree_remove(struct idtree *t, struct idtree_node *node);

#endif
