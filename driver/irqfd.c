// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * irqfd.c - event descriptors that raise a guest's interrupt, and those that
 * learn of its end (resample).
 *
 * Owns: routing.irqfds and routing.resamplers. An event is delivered from the
 * eventfd's own wake-up, hard interrupts included: every chip on the way takes
 * that. A resampling line stays up until the guest's EOI; then it goes down once
 * for all irqfds of its GSI, and each one's resamplefd is signalled.
 * Invariant: an irqfd on routing.irqfds is alive; who takes it off the list
 * queues its end.
 * Concurrency: irqfd_lock (taken inside the eventfd's wait-queue lock) for the
 * list; resampler_lock to change resamplers, routing.srcu to walk them.
 * See: Documentation/virt/kvm/api.rst 4.75.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "route.h"

#define FLAGS (KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE)

struct resampler {
	struct list_head link;
	struct list_head irqfds;
	u32 gsi;
};

struct irqfd {
	struct vm *vm;
	struct eventfd_ctx *event;
	struct eventfd_ctx *resample;		/* NULL: a plain one */
	struct resampler *resampler;
	struct list_head link;			/* empty: on its way out */
	struct list_head resampler_link;
	wait_queue_entry_t wait;
	poll_table poll;
	struct work_struct end;
	u32 gsi;
};

/* One queue for all VMs: a flush waits for every end that was queued before. */
static struct workqueue_struct *end_queue;

int irqfd_init(void)
{
	end_queue = alloc_workqueue("tenon-irqfd", 0, 0);
	return end_queue ? 0 : -ENOMEM;
}

void irqfd_exit(void)
{
	destroy_workqueue(end_queue);
}

/* ---- events ---- */

static void raise(struct irqfd *f)
{
	if (f->resample) {
		route_set(f->vm, IRQ_SOURCE_RESAMPLE, f->gsi, true, false);
		return;
	}
	route_set(f->vm, IRQ_SOURCE_VMM, f->gsi, true, false);
	route_set(f->vm, IRQ_SOURCE_VMM, f->gsi, false, false);
}

/* irqfd_lock held. */
static void detach(struct irqfd *f)
{
	list_del_init(&f->link);
	queue_work(end_queue, &f->end);
}

/* The eventfd is closing: nobody can signal it any more. */
static void hang_up(struct irqfd *f)
{
	struct routing *routing = f->vm->arch.routing;
	unsigned long flags;

	spin_lock_irqsave(&routing->irqfd_lock, flags);
	if (!list_empty(&f->link))
		detach(f);
	spin_unlock_irqrestore(&routing->irqfd_lock, flags);
}

/* The eventfd's wait-queue lock is held, interrupts are off. */
static int wake(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct irqfd *f = container_of(wait, struct irqfd, wait);
	__poll_t events = key_to_poll(key);
	u64 count;

	/* One that is on its way out, too: nobody else will see the event that is taken here. */
	if (events & EPOLLIN) {
		eventfd_ctx_do_read(f->event, &count);
		raise(f);
	}
	if (events & EPOLLHUP)
		hang_up(f);
	return !!(events & EPOLLIN);
}

static void queue_proc(struct file *file, wait_queue_head_t *queue, poll_table *poll)
{
	add_wait_queue_priority(queue, &container_of(poll, struct irqfd, poll)->wait);
}

/* ---- resamplers ---- */

void irqfd_acked(struct vm *vm, u32 gsi)
{
	struct routing *routing = vm->arch.routing;
	struct resampler *r;
	struct irqfd *f;

	list_for_each_entry_srcu(r, &routing->resamplers, link, srcu_read_lock_held(&routing->srcu)) {
		if (r->gsi != gsi)
			continue;
		/* Down before the signals: who still wants the line raises it again. */
		route_set(vm, IRQ_SOURCE_RESAMPLE, gsi, false, false);
		list_for_each_entry_srcu(f, &r->irqfds, resampler_link, srcu_read_lock_held(&routing->srcu))
			compat_eventfd_signal(f->resample);
	}
}

bool irqfd_resamples(struct vm *vm, u32 gsi)
{
	struct routing *routing = vm->arch.routing;
	struct resampler *r;

	list_for_each_entry_srcu(r, &routing->resamplers, link, srcu_read_lock_held(&routing->srcu)) {
		if (r->gsi == gsi)
			return true;
	}
	return false;
}

/* The one of this GSI, made if there is none; resampler_lock held. */
static struct resampler *resampler_get(struct routing *routing, u32 gsi)
{
	struct resampler *r;

	list_for_each_entry(r, &routing->resamplers, link) {
		if (r->gsi == gsi)
			return r;
	}
	r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	if (!r)
		return NULL;
	r->gsi = gsi;
	INIT_LIST_HEAD(&r->irqfds);
	list_add_rcu(&r->link, &routing->resamplers);
	return r;
}

static int resampler_join(struct irqfd *f)
{
	struct routing *routing = f->vm->arch.routing;

	mutex_lock(&routing->resampler_lock);
	f->resampler = resampler_get(routing, f->gsi);
	if (f->resampler)
		list_add_rcu(&f->resampler_link, &f->resampler->irqfds);
	mutex_unlock(&routing->resampler_lock);
	if (!f->resampler)
		return -ENOMEM;
	route_changed(f->vm);
	return 0;
}

static void resampler_leave(struct irqfd *f)
{
	struct routing *routing = f->vm->arch.routing;
	struct resampler *r = f->resampler;

	mutex_lock(&routing->resampler_lock);
	list_del_rcu(&f->resampler_link);
	synchronize_srcu(&routing->srcu);
	if (list_empty(&r->irqfds)) {
		list_del_rcu(&r->link);
		synchronize_srcu(&routing->srcu);
		route_set(f->vm, IRQ_SOURCE_RESAMPLE, r->gsi, false, false);
		kfree(r);
	}
	mutex_unlock(&routing->resampler_lock);
	route_changed(f->vm);
}

/* ---- the end ---- */

/* What irqfd_new() took, except the wait queue. */
static void irqfd_free(struct irqfd *f)
{
	if (f->resampler)
		resampler_leave(f);
	if (!IS_ERR_OR_NULL(f->resample))
		eventfd_ctx_put(f->resample);
	if (!IS_ERR_OR_NULL(f->event))
		eventfd_ctx_put(f->event);
	kfree(f);
}

static void end(struct work_struct *work)
{
	struct irqfd *f = container_of(work, struct irqfd, end);
	u64 count;

	/* An assignment that has just published it is done with it. */
	synchronize_srcu(&f->vm->arch.routing->srcu);
	eventfd_ctx_remove_wait_queue(f->event, &f->wait, &count);
	irqfd_free(f);
}

/* Detach those of this eventfd and GSI, or all; returns when they are gone. */
static void detach_all(struct vm *vm, const struct eventfd_ctx *event, u32 gsi)
{
	struct routing *routing = vm->arch.routing;
	struct irqfd *f, *next;

	spin_lock_irq(&routing->irqfd_lock);
	list_for_each_entry_safe(f, next, &routing->irqfds, link) {
		if (!event || (f->event == event && f->gsi == gsi))
			detach(f);
	}
	spin_unlock_irq(&routing->irqfd_lock);
	flush_workqueue(end_queue);
}

void irqfd_release(struct vm *vm)
{
	if (vm->arch.routing)
		detach_all(vm, NULL, 0);
}

/* ---- the ioctl ---- */

static int take_descriptors(struct irqfd *f, struct file *file, const struct kvm_irqfd *args)
{
	f->event = eventfd_ctx_fileget(file);
	if (IS_ERR(f->event))
		return PTR_ERR(f->event);
	if (!(args->flags & KVM_IRQFD_FLAG_RESAMPLE))
		return 0;
	f->resample = eventfd_ctx_fdget(args->resamplefd);
	if (IS_ERR(f->resample))
		return PTR_ERR(f->resample);
	return resampler_join(f);
}

/* One eventfd raises one interrupt. */
static int publish(struct irqfd *f)
{
	struct routing *routing = f->vm->arch.routing;
	struct irqfd *other;
	int rc = 0;

	spin_lock_irq(&routing->irqfd_lock);
	list_for_each_entry(other, &routing->irqfds, link) {
		if (other->event == f->event)
			rc = -EBUSY;
	}
	if (!rc)
		list_add_tail(&f->link, &routing->irqfds);
	spin_unlock_irq(&routing->irqfd_lock);
	return rc;
}

/* Join the wait queue; what was signalled before counts. */
static int attach(struct irqfd *f, struct file *file)
{
	struct routing *routing = f->vm->arch.routing;
	int idx, rc;

	init_waitqueue_func_entry(&f->wait, wake);
	init_poll_funcptr(&f->poll, queue_proc);
	idx = srcu_read_lock(&routing->srcu);
	rc = publish(f);
	if (!rc && vfs_poll(file, &f->poll) & EPOLLIN)
		raise(f);
	srcu_read_unlock(&routing->srcu, idx);
	return rc;
}

static int assign_file(struct vm *vm, struct file *file, const struct kvm_irqfd *args)
{
	struct irqfd *f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!f)
		return -ENOMEM;
	f->vm = vm;
	f->gsi = args->gsi;
	INIT_LIST_HEAD(&f->link);
	INIT_WORK(&f->end, end);
	rc = take_descriptors(f, file, args);
	if (!rc)
		rc = attach(f, file);
	if (rc)
		irqfd_free(f);
	return rc;
}

static int assign(struct vm *vm, const struct kvm_irqfd *args)
{
	int rc = route_may_irqfd(vm, args->flags);
	struct file *file;

	if (rc)
		return rc;
	/* Held to the end, so that no hang-up comes into a half-made irqfd. */
	file = fget(args->fd);
	if (!file)
		return -EBADF;
	rc = assign_file(vm, file, args);
	fput(file);
	return rc;
}

/* Success also when there was nothing to detach, as from KVM. */
static int deassign(struct vm *vm, const struct kvm_irqfd *args)
{
	struct eventfd_ctx *event = eventfd_ctx_fdget(args->fd);

	if (IS_ERR(event))
		return PTR_ERR(event);
	if (vm->arch.routing)
		detach_all(vm, event, args->gsi);
	eventfd_ctx_put(event);
	return 0;
}

long irqfd_ioctl(void *object, unsigned long arg)
{
	struct kvm_irqfd args;

	if (copy_from_user(&args, (void __user *)arg, sizeof(args)))
		return -EFAULT;
	if (args.flags & ~FLAGS)
		return -EINVAL;
	return args.flags & KVM_IRQFD_FLAG_DEASSIGN ? deassign(object, &args) : assign(object, &args);
}
