// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/* idtree.c - see idtree.h. */
#include "idtree.h"

#define TOP_BIT (IDTREE_IDS / 2)

struct idtree_node *idtree_find(const struct idtree *t, u32 id)
{
	struct idtree_node *n = t->root;
	u32 bit = TOP_BIT;

	for (; n && n->id != id; bit >>= 1)
		n = n->child[!!(id & bit)];
	return n;
}

void idtree_add(struct idtree *t, struct idtree_node *node)
{
	struct idtree_node **link = &t->root;
	u32 bit = TOP_BIT;

	for (; *link; bit >>= 1)
		link = &(*link)->child[!!(node->id & bit)];
	node->child[0] = node->child[1] = NULL;
	*link = node;
}

/* Any leaf below a node may stand in its place. */
void idtree_remove(struct idtree *t, struct idtree_node *node)
{
	struct idtree_node **link = &t->root, **leaf, *other;
	u32 bit = TOP_BIT;

	for (; *link != node; bit >>= 1)
		link = &(*link)->child[!!(node->id & bit)];
	for (leaf = link; (*leaf)->child[0] || (*leaf)->child[1];)
		leaf = &(*leaf)->child[!(*leaf)->child[0]];
	other = *leaf;
	*leaf = NULL;
	if (other == node)
		return;
	other->child[0] = node->child[0];
	other->child[1] = node->child[1];
	*link = other;
}

static struct idtree_node *lower(struct idtree_node *a, struct idtree_node *b)
{
	return a && a->id < b->id ? a : b;
}

struct idtree_node *idtree_next(const struct idtree *t, u32 id)
{
	struct idtree_node *n = id < IDTREE_IDS ? t->root : NULL, *best = NULL, *above = NULL;
	u32 bit = TOP_BIT;

	/* On the way of `id` any node may be higher than it, and so is all that lies to its right: the deepest is the lowest. */
	for (; n; bit >>= 1) {
		if (n->id >= id)
			best = lower(best, n);
		if (!(id & bit) && n->child[1])
			above = n->child[1];
		n = n->child[!!(id & bit)];
	}
	/* A subtree's lowest is on its leftmost way. */
	for (; above; above = above->child[!above->child[0]])
		best = lower(best, above);
	return best;
}
